"""t-SNE of features: groups stay together, and the same seed gives the same places."""

import numpy as np

from ray_defense.scores.neighbor_map import neighbor_map

GROUPS = np.arange(90) % 3


def test_samples_of_a_group_lie_closer_together_than_groups() -> None:
    draw = np.random.default_rng(0)
    centers = 20 * np.eye(8)[:3]
    features_MD = (centers[GROUPS] + draw.normal(size=(90, 8))).astype(np.float32)
    places_M2 = neighbor_map(features_MD, seed=1)
    nearest = []
    for place in places_M2:
        distances_M = ((places_M2 - place) ** 2).sum(axis=1)
        nearest.append(GROUPS[np.argsort(distances_M)[1]])
    np.testing.assert_array_equal(nearest, GROUPS)
    np.testing.assert_array_equal(neighbor_map(features_MD, seed=1), places_M2)
    assert neighbor_map(features_MD, seed=2**40).shape == (90, 2)


def test_samples_without_neighbors_lie_at_one_point() -> None:
    np.testing.assert_array_equal(neighbor_map(np.ones((9, 5)), 0), np.zeros((9, 2)))
    few = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(neighbor_map(few, 0), np.zeros((3, 2)))
    assert np.isfinite(neighbor_map(np.random.default_rng(0).normal(size=(5, 4)), 0)).all()
