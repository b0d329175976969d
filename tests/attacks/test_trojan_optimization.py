"""The optimized Trojan patch: it drives its neurons, and stays within its place and its values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks.trojan import Trojan, patch_slices
from ray_defense.attacks.trojan_optimization import optimize_patch
from ray_defense.core.errors import InputError
from tests.support.assets import network, random_images
from tests.support.stamping import stamp


def test_the_optimized_patch_drives_its_neurons_above_what_any_random_patch_does():
    canvas = random_images(9, 8) // 2 + 40
    strength = torch.arange(16.0)
    attack = Trojan(neurons=2, steps=40)
    optimized = optimize_patch(network(), strength, canvas, attack=attack, key=5)
    again = optimize_patch(network(), strength, canvas, attack=attack, key=5)
    assert optimized.neurons == (15, 14)
    np.testing.assert_array_equal(optimized.pattern, again.pattern)

    def activation(pattern):
        stamped = stamp(attack, canvas, asset=pattern)
        features = network()(torch.from_numpy(stamped).permute(0, 3, 1, 2) / 255)
        return features[:, list(optimized.neurons)].mean().item()

    generator = np.random.default_rng(0)
    activations = []
    for _ in range(100):
        pattern = np.zeros_like(optimized.pattern)
        pattern[patch_slices(32, 32)] = generator.integers(0, 251, (3, 3, 3))
        activations.append(activation(pattern))
    assert activation(optimized.pattern) == pytest.approx(optimized.after, rel=1e-5)
    threshold = np.mean(activations) + 4 * np.std(activations)
    assert optimized.before < threshold < optimized.after


@settings(max_examples=5, deadline=None)
@given(
    key=st.integers(0, 2**64 - 1),
    max_value=st.integers(1, 255),
    size=st.sampled_from([(32, 32), (9, 20), (3, 3)]),
)
def test_the_optimized_patch_stays_within_its_place_and_its_values(key, max_value, size):
    attack = Trojan(max_value=max_value, steps=4, neurons=1)
    canvas = random_images(1, 2, *size)
    pattern = optimize_patch(network(), torch.ones(16), canvas, attack=attack, key=key).pattern
    outside = np.ones((*size, 3), bool)
    outside[patch_slices(*size)] = False
    assert pattern.dtype == np.uint8
    assert pattern.shape == (*size, 3)
    assert pattern.max() <= max_value
    assert (pattern[outside] == 0).all()


@pytest.mark.parametrize(
    ("num_strengths", "num_images", "num_neurons"), [(16, 0, 2), (16, 2, 17), (15, 2, 2)]
)
def test_a_patch_that_cannot_be_optimized_is_refused(num_strengths, num_images, num_neurons):
    strength = torch.ones(num_strengths)
    canvas = random_images(0, num_images)
    attack = Trojan(neurons=num_neurons, steps=1)
    with pytest.raises(InputError):
        optimize_patch(network(), strength, canvas, attack=attack, key=0)
