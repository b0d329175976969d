"""Reads shards through FFCV's compiled Loader (Leclerc et al., CVPR 2023).

This is the only file that imports ffcv. A reader compiles one Loader and points it at one shard
after another. FFCV may hang and checks nothing, so every file first passes the checks of `beton`,
and a time limit ends the wait for a batch that does not come.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import numpy as np
import torch

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.neutral_directory import in_empty_directory
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset, shard_name

_POLL_S = 0.5


class FfcvReader:
    """Reads raw shards with one thread of FFCV; its tensors equal NumpyReader's.

    Importing FFCV takes seconds, and compiling the Loader at the first batch takes some more.
    """

    backend = "ffcv"

    def __init__(self, dataset: SuspectDataset, timeout_s: float = 120.0) -> None:
        """Imports FFCV.

        Args:
            dataset: A dataset of raw shards.
            timeout_s: The longest wait for a batch; after it, `batches` raises RunError, as it
                does if the thread of FFCV dies.

        Raises:
            InputError: If the shards are JPEG, or FFCV cannot be imported.
        """
        if dataset.jpeg:
            raise InputError(
                f"{str(dataset.directory)!r} holds JPEG shards, of which FFCV's decoder gives two "
                "thirds of the pixel values otherwise than ours, and no error for damaged ones: "
                "read with NumPy, or shard raw pixels"
            )
        with _torch_threads_kept():
            try:
                _import_ffcv()
            except ImportError as error:
                raise InputError(
                    f"FFCV cannot be imported ({error}): repair it, or read with NumPy"
                ) from None
        self.dataset = dataset
        self.timeout_s = timeout_s
        self._loader: Any = None
        self._shard: int | None = None
        self._file: BetonFile | None = None

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        check_at_least("batch_size", batch_size, 1)
        if len(rows) == 0:
            return iter(())
        file = self._switch_to(shard)
        return self._epoch(shard, file.checked_rows(rows), batch_size)

    def _switch_to(self, shard: int) -> BetonFile:
        """Points the Loader at a shard and returns the checked file of the shard."""
        if self._file is not None and shard == self._shard:
            return self._file
        from ffcv.loader import Loader, OrderOption
        from ffcv.memory_managers import OSCacheManager
        from ffcv.reader import Reader

        file = self.dataset.open_shard(shard)
        self._shard = None
        self._file = file
        path = str(self.dataset.directory / shard_name(shard))
        if self._loader is None:
            with _torch_threads_kept():
                self._loader = Loader(
                    path,
                    batch_size=1,
                    num_workers=1,
                    os_cache=True,
                    order=OrderOption.SEQUENTIAL,
                    seed=0,
                    drop_last=False,
                )
        else:
            # The compiled code takes metadata and memory map as arguments, so they are replaced; a
            # new Loader would compile it again. The context refers back to its manager: without
            # the next line, the map of the last shard would stay in memory for many shards.
            self._loader.memory_manager.context = None
            self._loader.reader = Reader(path)
            self._loader.memory_manager = OSCacheManager(self._loader.reader)
            self._loader.graph.metadata = self._loader.reader.metadata
        self._shard = shard
        return file

    def _epoch(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        from ffcv.loader.epoch_iterator import EpochIterator

        self._switch_to(shard)  # another call may have switched to another shard since
        self._loader.batch_size = batch_size
        with _torch_threads_kept():  # FFCV's thread sets their number once, before its first batch
            epoch = EpochIterator(self._loader, rows.astype(np.uint64))
            batch = receive_batch(epoch, self.timeout_s)
        try:
            while batch is not None:
                images, labels, index = batch  # buffers that FFCV fills again, so they are cloned
                yield ImageBatch(images.clone(), labels[:, 0].clone(), index[:, 0].clone())
                batch = receive_batch(epoch, self.timeout_s)
        except GeneratorExit:
            epoch.iter_ixes = iter(())  # the thread ends after the batch that it works on
            while receive_batch(epoch, self.timeout_s) is not None:
                pass
            raise


def _import_ffcv() -> None:
    """Imports FFCV without the settings of numba that may lie in the current directory.

    Numba reads `.numba_config.yaml` there as it is imported and whenever it compiles, and such
    settings can name a folder of pickles.
    """
    with in_empty_directory():
        import ffcv.loader  # noqa: F401
        from numba.core import config

        config._config_fname = os.devnull


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    num_threads = torch.get_num_threads()  # FFCV sets it to 1 for the whole process
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def receive_batch(epoch: Any, timeout_s: float) -> tuple[torch.Tensor, ...] | None:
    """Returns the next batch of an epoch, or None at its end.

    Args:
        epoch: FFCV's EpochIterator, a thread that fills a queue.
        timeout_s: The longest wait.

    Raises:
        RunError: If the thread has died, or no batch comes in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        # This is asked before the queue, so a batch that the thread put there last is not lost.
        is_alive = epoch.is_alive()
        try:
            item = epoch.output_queue.get(timeout=min(_POLL_S, timeout_s) if is_alive else 0.01)
            return None if item is None else item[1]
        except Empty:
            if not is_alive:
                raise RunError(
                    "FFCV's reading thread died (its traceback is above): read with NumPy instead"
                ) from None
            if time.monotonic() > deadline:
                epoch.terminate_event.set()
                raise RunError(
                    f"FFCV gave no batch within {timeout_s} s: read with NumPy, or wait longer"
                ) from None
