"""The page of an audit with a probe shows the map of its features."""

from pathlib import Path

import numpy as np

import ray_defense
from tests.support import blobs

NUM_PICTURES = 80
SMALL = {
    "probe.epochs": "1",
    "probe.model.width": "8",
    "detect.fct_draws.draws": "1",
    "detect.mirror.training.model.width": "8",
    "detect.mirror.training.steps": "2",
    "detect.mirror.training.folds": "2",
    "detect.grow.training.model.width": "8",
    "detect.grow.training.steps": "2",
    "detect.grow.training.folds": "2",
    "detect.grow.training.seeds_a_step": "4",
}


def test_the_features_are_on_the_page_and_nothing_of_them_is_computed_twice(tmp_path: Path) -> None:
    index = np.arange(NUM_PICTURES)
    arrays = (blobs.draw_blobs(index), blobs.labels_of(index))
    pages = []
    for _ in range(2):
        audit = ray_defense.audit(
            arrays, out=tmp_path / "out", size=16, backend="numpy", overrides=SMALL
        )
        pages.append(audit.report.read_text())
    assert "Principal components of the features" in pages[0]
    assert "Neighbors by their features (t-SNE)" in pages[0]
    assert pages[0].count("Principal components of the evidence") >= 1
    (points,) = (tmp_path / "out" / "store" / "feature_map").glob("*/points.parquet")
    assert points.is_file()
    assert audit.num_cached == audit.num_stages
