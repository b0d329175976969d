"""FCT against Eq. (1), written as loops, and the reductions of its draws."""

import math

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.scores.feature_consistency import (
    feature_consistency,
    reduce_draws,
)


def random_features(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_feature_consistency_equals_eq_1_as_loops():
    features = random_features(7, 5, seed=0)
    transformed = random_features(7, 5, seed=1)
    expected = []
    for x, y in zip(features.tolist(), transformed.tolist(), strict=True):
        expected.append(math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    scores = feature_consistency(features, transformed)
    assert scores.dtype == torch.float64
    assert scores.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 3, 64, 512, 2049])
def test_the_score_of_a_sample_has_the_same_bits_in_any_batch(dim):
    features = random_features(33, dim, seed=2)
    transformed = random_features(33, dim, seed=3)
    whole = feature_consistency(features, transformed)
    for size in (1, 2, 7, 32):
        parts = []
        for start in range(0, 33, size):
            batch = slice(start, start + size)
            parts.append(feature_consistency(features[batch], transformed[batch]))
        assert torch.equal(torch.cat(parts), whole)


def test_features_of_different_shapes_are_refused():
    with pytest.raises(InputError, match=r"\[3, 4\] and \[3, 5\]"):
        feature_consistency(torch.zeros(3, 4), torch.zeros(3, 5))


@pytest.mark.parametrize("reduction", ["mean", 0, 0.1, 0.5, 1])
def test_reduced_draws_equal_numpys_and_have_the_same_bits_in_any_batch(reduction):
    distances = random_features(32, 9, seed=4).square().numpy().astype(np.float64)
    reduced = reduce_draws(distances, reduction)
    if reduction == "mean":
        expected = distances.mean(axis=0)
    else:
        expected = np.quantile(distances, reduction, axis=0)
    np.testing.assert_allclose(reduced, expected, rtol=1e-12)
    alone = np.concatenate([reduce_draws(distances[:, [b]], reduction) for b in range(9)])
    assert reduced.tobytes() == alone.tobytes()


@pytest.mark.parametrize("reduction", ["median", "", -0.1, 1.1, float("nan"), "nan"])
def test_another_reduction_is_refused(reduction):
    with pytest.raises(InputError, match="reduce"):
        reduce_draws(np.ones((2, 3)), reduction)


@pytest.mark.parametrize("distances", [np.empty((0, 3)), np.ones(3)])
def test_distances_without_draws_are_refused(distances):
    with pytest.raises(InputError, match="draws"):
        reduce_draws(distances, "mean")
