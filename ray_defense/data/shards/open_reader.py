"""Chooses who reads the shards of a suspect dataset."""

import importlib.util
from pathlib import Path
from typing import get_args

from ray_defense.core.errors import InputError, unknown_name
from ray_defense.data.shards.numpy_reader import NumpyReader
from ray_defense.data.shards.reader import ShardReader
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.protocols import Backend


def open_reader(directory: Path, backend: Backend = "auto") -> ShardReader:
    """Returns a reader of the shards in a directory.

    JPEG shards are read with NumPy and Pillow only: FFCV's decoder gives other pixels, and old
    ones where it fails. Of raw pixels in the page cache NumPy read two to twenty times as many
    images a second as FFCV on one CPU core, at sides of 32 to 224 pixels, and it starts at once
    where FFCV compiles first (`python -m benchmarks.reading`), so "auto" is NumPy.

    Args:
        directory: A suspect dataset.
        backend: "ffcv", "numpy", or "auto" for the faster one.

    Raises:
        InputError: For a directory that is no dataset, another back end, or one that is not there.
    """
    if backend not in get_args(Backend):
        raise unknown_name("reader", backend, get_args(Backend))
    dataset = SuspectDataset(directory)
    if backend in ("auto", "numpy"):
        return NumpyReader(dataset)
    if importlib.util.find_spec("ffcv") is None and not dataset.jpeg:
        raise InputError(
            "FFCV is not installed: apt-get install pkg-config libopencv-dev libturbojpeg0-dev "
            "&& pip install ffcv==1.0.2, or read with NumPy (the same tensors)"
        )
    # The only module that needs FFCV, whose import takes seconds.
    from ray_defense.data.shards.ffcv_reader import FfcvReader

    return FfcvReader(dataset)
