"""The pieces of MixMatch against plain loops."""

import math

import pytest
import torch

from ray_defense.losses.mixmatch import mix_up, mixmatch_losses, ramp_up, sharpen


def random_rows(seed: int, rows: int = 4, columns: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def probabilities(logits: torch.Tensor) -> list[list[float]]:
    rows = []
    for row in logits.tolist():
        total = sum(math.exp(value) for value in row)
        rows.append([math.exp(value) / total for value in row])
    return rows


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sharpening_raises_probabilities_to_one_over_the_temperature(temperature: float):
    given = probabilities(random_rows(0))
    expected = []
    for row in given:
        powers = [value ** (1 / temperature) for value in row]
        expected.append([value / sum(powers) for value in powers])
    sharpened = sharpen(torch.tensor(given, dtype=torch.float64), temperature)
    assert torch.allclose(sharpened, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_each_sample_is_mixed_with_the_one_that_the_order_names():
    values = random_rows(1)
    order = torch.tensor([2, 0, 3, 1])
    mixed = mix_up(values, order, 0.8)
    for row in range(4):
        for column in range(3):
            partner = values[order[row], column].item()
            expected = 0.8 * values[row, column].item() + 0.2 * partner
            assert mixed[row, column].item() == pytest.approx(expected, abs=1e-12)


def test_the_losses_are_cross_entropy_and_squared_differences():
    labeled = random_rows(2)
    targets = probabilities(random_rows(3))
    unlabeled = random_rows(4, rows=8)
    guesses = probabilities(random_rows(5, rows=8))
    given = mixmatch_losses(
        labeled,
        torch.tensor(targets, dtype=torch.float64),
        unlabeled,
        torch.tensor(guesses, dtype=torch.float64),
    )
    first = 0.0
    for row, target in zip(probabilities(labeled), targets, strict=True):
        for probability, share in zip(row, target, strict=True):
            first -= share * math.log(probability) / 4
    second = 0.0
    for row, guess in zip(probabilities(unlabeled), guesses, strict=True):
        for probability, share in zip(row, guess, strict=True):
            second += (probability - share) ** 2 / 24
    assert given[0].item() == pytest.approx(first, rel=1e-10)
    assert given[1].item() == pytest.approx(second, rel=1e-10)


def test_the_weight_rises_from_nothing_to_all_of_it():
    assert [ramp_up(15.0, position, 4) for position in (0, 1, 2.5, 4, 9)] == [
        0.0,
        3.75,
        9.375,
        15.0,
        15.0,
    ]
