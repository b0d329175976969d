"""Spectral signatures against the singular value decomposition, and what they promise."""

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.scores import spectral_signatures as module
from ray_defense.scores.spectral_signatures import spectral_signatures


def scores_loop(features, labels):
    scores = [0.0] * len(labels)
    for label in set(labels.tolist()):
        members = [position for position in range(len(labels)) if labels[position] == label]
        rows = features[members].astype(np.float64)
        centered = rows - sum(rows) / len(rows)
        _, _, right = np.linalg.svd(centered, full_matrices=False)
        for position, row in zip(members, centered, strict=True):
            scores[position] = sum(a * b for a, b in zip(row, right[0], strict=True)) ** 2
    return scores


@pytest.mark.parametrize("chunk_rows", [3, 4096])
def test_scores_are_squared_projections_on_the_first_singular_vector(monkeypatch, chunk_rows):
    monkeypatch.setattr(module, "_CHUNK_ROWS", chunk_rows)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 7)).astype(np.float32) * np.arange(1, 8, dtype=np.float32)
    labels = generator.integers(0, 3, 60)
    scores = spectral_signatures(features, labels)
    assert scores.dtype == np.float64
    assert scores.tolist() == pytest.approx(scores_loop(features, labels), rel=1e-9)


def test_planted_samples_of_one_label_have_the_highest_scores():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(1000, 16))
    labels = np.repeat([0, 1], 500)
    features[:25, 3] += 12
    scores = spectral_signatures(features, labels)
    assert set(np.argsort(scores)[-25:].tolist()) == set(range(25))


def test_equal_features_and_lonely_labels_have_zeros():
    features = np.array([[0.1, 0.7]] * 5 + [[3.0, 1.0]])
    assert spectral_signatures(features, np.array([0, 0, 0, 0, 0, 1])).max() < 1e-30
    assert spectral_signatures(np.ones((4, 2)), np.zeros(4, int)).tolist() == [0] * 4


@pytest.mark.parametrize(
    ("features", "labels"),
    [(np.ones(3), np.zeros(3)), (np.ones((3, 2)), np.zeros(2)), (np.full((1, 2), np.nan), [0])],
)
def test_features_that_cannot_be_scored_are_refused(features, labels):
    with pytest.raises(InputError, match="features"):
        spectral_signatures(features, np.array(labels, dtype=int))
