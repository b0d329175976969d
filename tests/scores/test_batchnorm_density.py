"""BatchNorm log-density and robust z against their formulas, written as loops."""

import math
import statistics

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.scores.batchnorm_density import combine_layers, layer_surprise
from ray_defense.scores.robust_z import robust_z_within_label


def random_activations(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 3


def surprise_loop(activations, mean, variance, epsilon):
    surprises = []
    for sample in activations.flatten(start_dim=2).tolist():
        densities = []
        for values, mu, var in zip(sample, mean.tolist(), variance.tolist(), strict=True):
            for value in values:
                spread = var + epsilon
                square = (value - mu) ** 2 / spread
                densities.append(-0.5 * (math.log(2 * math.pi * spread) + square))
        surprises.append(-min(densities))
    return surprises


@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 3, 1, 1), (4, 3, 7)])
def test_the_surprise_is_minus_the_smallest_log_density_as_loops(shape):
    activations = random_activations(*shape)
    mean = torch.tensor([0.5, -1, 2])
    variance = torch.tensor([1.0, 9, 0])
    surprise = layer_surprise(activations, mean, variance, epsilon=1e-3)
    assert surprise.dtype == torch.float64
    expected = surprise_loop(activations, mean, variance, 1e-3)
    assert surprise.tolist() == pytest.approx(expected, rel=1e-6)


def test_flat_activations_are_taken_as_one_position():
    activations = random_activations(6, 3)
    mean = torch.zeros(3)
    variance = torch.ones(3)
    flat = layer_surprise(activations, mean, variance)
    assert torch.equal(flat, layer_surprise(activations[:, :, None, None], mean, variance))


def test_the_surprise_of_a_sample_has_the_same_bits_in_any_batch():
    activations = random_activations(33, 16, 5, 5)
    mean = random_activations(16)
    variance = random_activations(16).square()
    whole = layer_surprise(activations, mean, variance)
    for size in (1, 7, 32):
        parts = [layer_surprise(part, mean, variance) for part in activations.split(size)]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("shape", [(3,), (3, 5, 2, 2)])
def test_activations_of_other_channels_are_refused(shape):
    with pytest.raises(InputError, match=r"\[B, C, ...\]"):
        layer_surprise(torch.zeros(*shape), torch.zeros(4), torch.ones(4))


def z_loop(scores, labels):
    z = [[0.0] * scores.shape[1] for _ in labels]
    for label in set(labels.tolist()):
        members = [position for position in range(len(labels)) if labels[position] == label]
        for layer in range(scores.shape[1]):
            column = [float(scores[position, layer]) for position in members]
            median = statistics.median(column)
            scale = 1.4826 * statistics.median([abs(value - median) for value in column])
            if scale == 0:
                scale = statistics.pstdev(column)
            for position, value in zip(members, column, strict=True):
                z[position][layer] = (value - median) / scale if scale > 0 else 0
    return z


def labeled_scores():
    generator = np.random.default_rng(0)
    scores = np.round(generator.normal(size=(40, 3)), 1)
    scores[:, 1] = generator.random(40) < 0.2  # more than half are equal
    scores[:, 2] = 4
    return scores, generator.integers(0, 3, 40)


def test_robust_z_is_its_definition_as_loops():
    scores, labels = labeled_scores()
    z = robust_z_within_label(scores, labels)
    for row, expected in zip(z.tolist(), z_loop(scores, labels), strict=True):
        assert row == pytest.approx(expected, rel=1e-9)


def test_layers_are_combined_by_the_mean_of_their_robust_z():
    scores, labels = labeled_scores()
    expected = [math.fsum(row) / 3 for row in z_loop(scores, labels)]
    assert combine_layers(scores, labels).tolist() == pytest.approx(expected, rel=1e-9)


def test_a_network_without_batchnorm_is_refused():
    with pytest.raises(InputError, match="no BatchNorm layer"):
        combine_layers(np.zeros((4, 0)), np.zeros(4, int))
