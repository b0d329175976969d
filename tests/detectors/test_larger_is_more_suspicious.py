"""Larger is more suspicious: every detector ranks a planted trigger above chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.detectors import DETECTORS
from ray_defense.detectors.protocol import Detector
from ray_defense.scores.coherence import area_under_roc
from tests.support import blobs
from tests.support.small_detectors import (
    CLASSIFIER,
    GROWING,
    LABELS,
    PROBE,
    SYMMETRY,
    ingest_pictures,
    small_detector,
)

pytestmark = pytest.mark.long

NUM_PICTURES = 600
POISONED = np.arange(1, NUM_PICTURES, 10)
LONGER_SYMMETRY = replace(SYMMETRY, steps=64)
LONGER_LABELS = replace(LABELS, epochs=8)
# What changes of the small detectors, so that their networks learn the trigger.
CHANGES = {
    "mirror": {"training": LONGER_SYMMETRY},
    "shifted_windows": {"training": LONGER_SYMMETRY},
    "grow": {"training": replace(GROWING, steps=60, seeds_a_step=16), "num_highest": 40},
    "trigger_gap": {"training": LONGER_LABELS},
    "symmetric_ce": {"training": replace(LONGER_LABELS, folds=1)},
    "local_ascent": {"training": replace(LONGER_LABELS, folds=1)},
    "unlearning_margin": {"num_unlearned": 100, "max_epochs": 10, "batch_size": 50},
}


def trained_detector(name: str) -> Detector:
    return replace(small_detector(name), **CHANGES.get(name, {}))


def test_every_detector_ranks_a_planted_trigger_above_chance(tmp_path: Path) -> None:
    index = np.arange(NUM_PICTURES)
    images = blobs.draw_blobs(index)
    labels = blobs.labels_of(index)
    images[POISONED] = blobs.stamp_corner(images[POISONED])
    labels[POISONED] = 0
    is_poisoned = np.isin(index, POISONED)
    sgd = replace(PROBE.sgd, learning_rate=0.05)
    pictures = replace(
        ingest_pictures(tmp_path, images, labels, shard_size=300),
        probe=replace(PROBE, epochs=8, intra_epochs=4, sgd=sgd),
        classifier=replace(CLASSIFIER, epochs=8, milestones=(6,)),
    )
    detectors = tuple(trained_detector(name) for name in DETECTORS)
    columns = pictures.columns(detectors, batch_size=100)
    aurocs = {}
    for name in DETECTORS:
        scores = columns[name]
        aurocs[name] = area_under_roc(scores[is_poisoned], scores[~is_poisoned])
    assert min(aurocs.values()) > 0.5, aurocs
    for name in ("fct", "fct_draws", "mirror", "grow", "spectral_signatures", "bn_density"):
        assert aurocs[name] > 0.9, aurocs
