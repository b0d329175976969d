"""Activation clustering: shares of clusters by loops, planted clusters, and determinism."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.activation_clustering import (
    activation_clustering,
    smaller_cluster_scores,
)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_score_is_the_share_of_the_larger_cluster_for_the_smaller_one(in_second):
    expected = []
    for member in in_second:
        num_other = sum(other != member for other in in_second)
        is_smaller = num_other > len(in_second) - num_other
        expected.append(num_other / len(in_second) if is_smaller else 0)
    scores = smaller_cluster_scores(np.array(in_second))
    assert scores.tolist() == pytest.approx(expected)


def planted_features(num_samples=400, num_planted=40):
    generator = np.random.default_rng(0)
    # ReLU features: not negative, some always 0.
    features = np.maximum(0, generator.normal(size=(num_samples, 24)))
    features[:, 20:] = 0
    features[:num_planted, :4] += 6
    return features.astype(np.float32)


def test_a_planted_cluster_is_the_smaller_one():
    features = planted_features()
    labels = np.zeros(400, int)
    labels[300:] = 3
    clusters = activation_clustering(features, labels)
    assert np.flatnonzero(clusters.scores_M[:300]).tolist() == list(range(40))
    assert clusters.scores_M[:40].tolist() == pytest.approx([1 - 40 / 300] * 40)
    assert list(clusters.silhouettes) == [0, 3]
    assert clusters.silhouettes[0] > clusters.silhouettes[3]


def test_the_same_seed_gives_the_same_bits():
    features = planted_features()
    labels = np.arange(400) % 2
    first = activation_clustering(features, labels, seed=5)
    second = activation_clustering(features, labels, seed=5)
    assert first.scores_M.tobytes() == second.scores_M.tobytes()
    assert first.silhouettes == second.silhouettes


def test_labels_with_few_samples_or_equal_features_are_not_clustered():
    features = np.full((13, 5), 0.1, np.float32)
    features[10:] = np.random.default_rng(0).normal(size=(3, 5))
    labels = np.array([0] * 10 + [1] * 3)
    clusters = activation_clustering(features, labels)
    assert not clusters.scores_M.any()
    assert clusters.silhouettes == {}


def test_features_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"\[3\] and \[3\]"):
        activation_clustering(np.ones(3), np.zeros(3, int))
