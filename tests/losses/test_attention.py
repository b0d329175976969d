"""Attention maps against plain loops, and what leaves their distance at 0."""

import math

import pytest
import torch

from ray_defense.losses.attention import attention_distance, attention_map


def random_features(seed: int, num_channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, num_channels, 4, 5, generator=generator, dtype=torch.float64)


def map_by_loops(features: torch.Tensor, power: float) -> list[list[float]]:
    """Eq. (1) of NAD, A(F) = sum over channels of |F|^p, and its length, image by image."""
    num_images, num_channels, height, width = features.shape
    maps = []
    for image in range(num_images):
        energy = []
        for row in range(height):
            for column in range(width):
                total = 0.0
                for channel in range(num_channels):
                    total += abs(features[image, channel, row, column].item()) ** power
                energy.append(total)
        length = math.sqrt(sum(value * value for value in energy))
        maps.append([value / length for value in energy])
    return maps


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_a_map_is_the_energy_of_each_position_at_length_one(power: float):
    features = random_features(0)
    expected = torch.tensor(map_by_loops(features, power), dtype=torch.float64)
    assert torch.allclose(attention_map(features, power), expected, atol=1e-12)


def test_the_distance_is_the_mean_squared_difference_of_two_maps():
    student = random_features(1)
    teacher = random_features(2, num_channels=6)
    differences = []
    pairs = zip(map_by_loops(student, 2.0), map_by_loops(teacher, 2.0), strict=True)
    for of_student, of_teacher in pairs:
        for a, b in zip(of_student, of_teacher, strict=True):
            differences.append((a - b) ** 2)
    expected = sum(differences) / len(differences)
    assert attention_distance(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_scaled_features_look_at_the_same_places():
    features = random_features(3)
    assert attention_distance(7 * features, -features).item() < 1e-30


def test_features_of_zero_have_a_finite_gradient():
    features = torch.zeros(1, 2, 3, 3, requires_grad=True)
    attention_distance(features, torch.ones(1, 2, 3, 3)).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
