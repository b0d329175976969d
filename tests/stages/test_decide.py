"""The split of a dataset: who is trusted and flagged, its summary, and when it is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.data.split_table import read_split
from ray_defense.store.artifacts import Artifact, Store
from tests.stages.conftest import ProbedNoise
from tests.support.splits import split_by_given_scores


def split_noise(noise: ProbedNoise, root: Path, scores: np.ndarray) -> Artifact:
    """Returns the split of the noise by some scores, in a store of its own."""
    context = replace(noise.context, store=Store(root))
    return split_by_given_scores(context, noise.suspect, noise.dataset.index, scores)


def test_a_split_names_the_lowest_trusted_and_the_highest_flagged(probed_noise, tmp_path):
    scores = np.random.default_rng(0).permutation(129)
    split = split_noise(probed_noise, tmp_path, scores)
    table = read_split(split.path)
    dataset = probed_noise.dataset
    assert np.array_equal(table.index, dataset.index)
    assert np.array_equal(table.score, scores)
    is_trusted = scores < 25  # floor(0.2 * 129)
    is_flagged = scores >= 123  # floor(0.05 * 129) = 6
    assert table.members("trusted").tolist() == dataset.index[is_trusted].tolist()
    assert table.members("flagged").tolist() == dataset.index[is_flagged].tolist()
    summary = read_json(split.path / "summary.json")
    assert summary["num_trusted"] == 25
    assert summary["num_flagged"] == 6
    assert summary["num_uncertain"] == 98
    trusted_labels = dataset.labels[is_trusted].tolist()
    expected = [trusted_labels.count(label) for label in range(3)]
    assert summary["trusted_class_counts"] == expected


def test_a_trusted_split_of_a_single_class_is_noted(probed_noise, tmp_path):
    by_class = probed_noise.dataset.labels + np.linspace(0, 0.5, 129)
    split = split_noise(probed_noise, tmp_path / "a", by_class)
    summary = read_json(split.path / "summary.json")
    assert summary["trusted_class_counts"] == [25, 0, 0]
    assert "2 of 3 classes have less than a tenth of their share" in summary["notes"][0]
    assert "(classes 1, 2)" in summary["notes"][0]
    even = split_noise(probed_noise, tmp_path / "b", np.random.default_rng(0).random(129))
    assert read_json(even.path / "summary.json")["notes"] == []


def test_scores_that_are_mostly_zero_are_noted_and_all_equal_scores_refused(probed_noise, tmp_path):
    scores = np.where(np.arange(129) % 4 == 0, 1.0 + np.arange(129), 0.0)
    split = split_noise(probed_noise, tmp_path / "a", scores)
    notes = read_json(split.path / "summary.json")["notes"]
    assert len(notes) == 1
    start = "74% of the scores are exactly 0: the probe's features have collapsed"
    assert notes[0].startswith(start)
    with pytest.raises(InputError, match=r"not assessable: all 129 scores equal 0.5"):
        split_noise(probed_noise, tmp_path / "b", np.full(129, 0.5))
