"""Two readers over the same shards: images/s in turns, and seconds until a first batch."""

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.support import run_in_fresh_process
from benchmarks.turns import compare_pairs, take_turns
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.shards.reader import ShardReader
from ray_defense.execution.protocols import Backend
from tests.support.random_datasets import write_random_dataset

SHARD_SIZE = 500
BATCH_SIZE = 100


def measure_side(side: int, num_images: int, num_repeats: int) -> dict[str, Any]:
    """Returns the images/s of both readers, and the seconds until their first batches.

    Args:
        side: Pixels of a side.
        num_images: A multiple of SHARD_SIZE.
        num_repeats: How many pairs are measured.
    """
    starts: dict[str, list[float]] = {"ffcv": [], "numpy": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_random_dataset(folder, [SHARD_SIZE] * (num_images // SHARD_SIZE), side)
        speeds = run_in_fresh_process(compare_speeds, folder, num_images, num_repeats)
        for _ in range(num_repeats):
            for backend, seconds in starts.items():
                seconds.append(run_in_fresh_process(seconds_until_first_batch, folder, backend))
    num_bytes = num_images * side * side * 3
    return {
        "side": side,
        "mib": round(num_bytes / 2**20, 1),
        "ffcv_images_per_s": speeds.pop("stage_images_per_s"),
        "numpy_images_per_s": speeds.pop("bare_images_per_s"),
        **speeds,
        "ffcv_start_s": round(median(starts["ffcv"]), 2),
        "numpy_start_s": round(median(starts["numpy"]), 2),
    }


def compare_speeds(folder: Path, num_images: int, num_repeats: int) -> dict[str, Any]:
    """Returns what `compare_pairs` does, with FFCV as the stage and NumPy as the bare side."""
    readers = [open_reader(folder, backend) for backend in ("ffcv", "numpy")]
    passes = [partial(_seconds_of_pass, reader, num_images) for reader in readers]
    turns = take_turns(*passes, num_repeats)
    return compare_pairs(num_images, turns.stage_s, turns.bare_s)


def _seconds_of_pass(reader: ShardReader, num_images: int) -> float:
    rows = np.random.default_rng(0).permutation(SHARD_SIZE)
    total = 0
    start = time.perf_counter()
    for shard in range(num_images // SHARD_SIZE):
        for batch in reader.batches(shard, rows, BATCH_SIZE):
            total += int(batch.images[:, 0, 0, 0].sum())  # what was read is used
    return time.perf_counter() - start


def seconds_until_first_batch(folder: Path, backend: Backend) -> float:
    """Returns the seconds from a reader's import to its first batch; torch is imported before."""
    start = time.perf_counter()
    reader = open_reader(folder, backend)
    next(iter(reader.batches(0, np.arange(BATCH_SIZE), BATCH_SIZE)))
    return time.perf_counter() - start
