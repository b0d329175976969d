"""Detectors on Ray: their networks side by side, their passes on actors, the local bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_defense.cluster.session import start_executor
from ray_defense.execution.placement import Placement
from ray_defense.stages.detect import DetectConfig
from tests.support import blobs
from tests.support.small_detectors import ingest_pictures, small_detector

pytestmark = pytest.mark.ray


def test_ray_gives_the_evidence_of_the_local_executor(local_ray: Any, tmp_path: Path) -> None:
    index = np.arange(60)
    pictures = ingest_pictures(tmp_path, blobs.draw_blobs(index), blobs.labels_of(index), 25)
    # Detectors whose networks are all small jobs; Ray Train's have tests of their own.
    detectors = []
    for name in ("mirror", "symmetric_ce", "grow"):
        detectors.append(small_detector(name))
    config = DetectConfig(tuple(detectors), batch_size=10, block_size=10)
    local = pictures.evidence(config)
    executor = start_executor("numpy", Placement(actors=2))
    on_ray = pictures.in_store(tmp_path / "on_ray").evidence(config, executor)
    assert on_ray.artifact.hashes == local.artifact.hashes
    assert set(local.artifact.hashes) == {"evidence.parquet", "metrics.json"}
