"""Reads shards through FFCV's compiled Loader (Leclerc et al., CVPR 2023): the only file that imports ffcv.

One Loader is compiled a reader and aimed at one shard after another. FFCV may hang and checks nothing, so a file
first passes the preflight of `beton`, and a watchdog ends the wait for a batch that does not come.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import numpy as np
import torch

from ray_defense.core.checks import at_least
from ray_defense.core.errors import Failed, Refused
from ray_defense.data.suspect_dataset import ImageBatch, ShardSet, shard_name

_POLL_S = 0.5


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    threads = torch.get_num_threads()  # FFCV sets it to 1 for the whole process
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class FfcvReader:
    """Reads raw shards with FFCV, one thread; the tensors equal NumpyReader's.

    Importing FFCV takes seconds, compiling the Loader at the first batch some more. `timeout_s` is the longest wait
    for a batch. Raises Refused for JPEG shards or if FFCV cannot be imported, Failed if its thread dies or no batch
    comes in time.
    """

    backend = "ffcv"

    def __init__(self, shards: ShardSet, timeout_s: float = 120.0) -> None:
        if shards.jpeg:
            raise Refused(
                f"{str(shards.directory)!r} holds JPEG shards, of which FFCV's decoder gives two thirds of the pixel values "
                "otherwise than ours, and no error for damaged ones: read with NumPy, or shard raw pixels"
            )
        with _torch_threads_kept():
            try:
                import ffcv.loader  # noqa: F401
            except ImportError as error:
                raise Refused(f"FFCV cannot be imported ({error}): repair it, or read with NumPy") from None
        self.shards = shards
        self.timeout_s = timeout_s
        self._loader: Any = None
        self._shard: int | None = None
        self._file: Any = None

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        at_least("batch_size", batch_size, 1)
        if len(rows) == 0:
            return iter(())
        self._aim(shard)
        return self._epoch(shard, self._file.checked_rows(rows), batch_size)

    def _aim(self, shard: int) -> None:
        if shard == self._shard:
            return
        from ffcv.loader import Loader, OrderOption
        from ffcv.memory_managers import OSCacheManager
        from ffcv.reader import Reader

        self._shard, self._file = None, self.shards.open(shard)
        path = str(self.shards.directory / shard_name(shard))
        if self._loader is None:
            with _torch_threads_kept():
                order = OrderOption.SEQUENTIAL
                self._loader = Loader(path, 1, num_workers=1, os_cache=True, order=order, seed=0, drop_last=False)
        else:
            # the compiled code takes metadata and memory map as arguments: a new Loader would compile it again
            self._loader.memory_manager.context = None  # a cycle: the map of the last shard would outlive it by many shards
            self._loader.reader = Reader(path)
            self._loader.memory_manager = OSCacheManager(self._loader.reader)
            self._loader.graph.metadata = self._loader.reader.metadata
        self._shard = shard

    def _epoch(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        from ffcv.loader.epoch_iterator import EpochIterator

        self._aim(shard)  # another call may have aimed it elsewhere since
        self._loader.batch_size = batch_size
        with _torch_threads_kept():  # FFCV's thread sets them once, before its first batch
            epoch = EpochIterator(self._loader, rows.astype(np.uint64))
            batch = receive(epoch, self.timeout_s)
        try:
            while batch is not None:
                images, labels, index = batch  # buffers that FFCV fills again, so they are cloned
                yield ImageBatch(images.clone(), labels[:, 0].clone(), index[:, 0].clone())
                batch = receive(epoch, self.timeout_s)
        except GeneratorExit:
            epoch.iter_ixes = iter(())  # the thread ends after the batch it is at
            while receive(epoch, self.timeout_s) is not None:
                pass
            raise


def receive(epoch: Any, timeout_s: float) -> tuple[torch.Tensor, ...] | None:
    """Returns the next batch of FFCV's EpochIterator, or None at its end; raises Failed instead of waiting for ever."""
    deadline = time.monotonic() + timeout_s
    while True:
        alive = epoch.is_alive()  # asked before the queue: what a thread put there before it ended is not lost
        try:
            item = epoch.output_queue.get(timeout=min(_POLL_S, timeout_s) if alive else 0.01)
            return None if item is None else item[1]
        except Empty:
            if not alive:
                raise Failed("FFCV's reading thread died (its traceback is above): read with NumPy instead") from None
            if time.monotonic() > deadline:
                epoch.terminate_event.set()
                raise Failed(f"FFCV gave no batch within {timeout_s} s: read with NumPy, or wait longer") from None
