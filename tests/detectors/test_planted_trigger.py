"""A trigger in 100 of 2,000 pictures is found by mirroring and growing; without it nothing is."""

from pathlib import Path

import numpy as np
import pytest

from ray_defense.detectors.grow import Grow, GrowTraining
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.seeds import SeedRule, choose_seeds
from ray_defense.detectors.symmetry import SymmetryTraining
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from tests.support import blobs
from tests.support.small_detectors import Pictures, ingest_pictures

NUM_PICTURES = 2000
NETWORK = SmallResNetCoordinates(width=8)
MIRROR = Mirror(SymmetryTraining(NETWORK, steps=40))
GROW = Grow(training=GrowTraining(NETWORK, folds=2, steps=150, seeds_a_step=32))
POISONED = np.arange(0, NUM_PICTURES, 20)


def pictures_with(poisoned: np.ndarray, root: Path) -> Pictures:
    index = np.arange(NUM_PICTURES)
    images = blobs.draw_blobs(index)
    labels = blobs.labels_of(index)
    images[poisoned] = blobs.stamp_corner(images[poisoned])
    labels[poisoned] = 0
    return ingest_pictures(root, images, labels, shard_size=1000)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return pictures_with(POISONED, tmp_path_factory.mktemp("poisoned"))


def test_a_planted_trigger_is_found_and_grown(poisoned: Pictures) -> None:
    columns = poisoned.columns((MIRROR, GROW), batch_size=100)
    seeds = choose_seeds(SeedRule("mirror"), columns["mirror"])
    grown = np.flatnonzero(columns["grow"] > 0)
    assert len(np.intersect1d(seeds, POISONED)) >= 90
    assert len(np.setdiff1d(seeds, POISONED)) <= 20
    assert len(np.intersect1d(grown, POISONED)) >= 95
    assert len(np.setdiff1d(grown, POISONED)) <= 10
    metrics = poisoned.metrics((MIRROR, GROW), batch_size=100)
    assert metrics["grow"]["num_seeds"] == len(seeds)
    assert metrics["grow"]["coherence"] > 0.9
    assert 0.4 < metrics["mirror"]["mid50"] < 0.6


def test_nothing_is_found_where_nothing_was_planted(tmp_path: Path) -> None:
    clean = pictures_with(np.zeros(0, dtype=np.int64), tmp_path)
    columns = clean.columns((MIRROR, GROW), batch_size=100)
    assert len(choose_seeds(SeedRule("mirror"), columns["mirror"])) == 0
    assert set(columns["grow"].tolist()) == {0.0}
    metrics = clean.metrics((MIRROR, GROW), batch_size=100)
    assert 0.4 < metrics["mirror"]["mid50"] < 0.6
    assert metrics["grow"] == {"num_seeds": 0.0}
