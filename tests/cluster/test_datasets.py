"""Ray Data: the shards as a dataset, and the errors of read tasks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ray_defense
from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import InputError
from ray_defense.data.sources.listing import capture_split
from ray_defense.execution.protocols import Columns, IngestJob
from ray_defense.reports.result import Result
from ray_defense.stages.ingest import ReadRange, unchanged
from tests.support import tiny

pytestmark = pytest.mark.ray


def write_on_a_full_disk(columns: Columns) -> Columns:
    raise OSError(28, "No space left on device")


def refuse(columns: Columns) -> Columns:
    raise InputError("too big")


def read_range(digits: Path) -> ReadRange:
    source = tiny.recipe(digits).source
    captured, _ = capture_split(source, "train", digits / "unused", range_size=50)
    return ReadRange(captured)


def test_shards_as_a_ray_dataset_hold_every_sample_once(ray_run: Result, digits: Path) -> None:
    rows = ray_defense.read_shards(ray_run.artifacts["ingest"]).take_all()
    index = np.array([row["index"] for row in rows])
    order = np.argsort(index)
    images = np.stack([row["image"] for row in rows])[order]
    labels = np.array([row["label"] for row in rows])[order]
    assert np.array_equal(np.sort(index), np.arange(256))
    clean = tiny.recipe(digits).source.read("train", 0, 256)
    changed = (images != clean.images).any((1, 2, 3))
    assert images.dtype == np.uint8
    assert 0 < changed.sum() <= 0.1 * 256
    assert np.array_equal(labels[~changed], clean.labels[~changed])
    assert (labels[changed] == 0).all()


def test_a_full_disk_is_reported_as_such(local_ray: Any, digits: Path) -> None:
    read = read_range(digits)
    job = IngestJob([(0, 50)], read=read, change=unchanged, write=write_on_a_full_disk)
    with pytest.raises(OSError, match="No space left") as full:
        start_executor("numpy").ingest(job)
    assert full.value.errno == 28


def test_an_error_of_ours_in_a_read_task_is_the_error_itself(local_ray: Any, digits: Path) -> None:
    read = read_range(digits)
    job = IngestJob([(0, 50)], read=read, change=refuse, write=unchanged)
    with pytest.raises(InputError, match="^too big$"):
        start_executor("numpy").ingest(job)
