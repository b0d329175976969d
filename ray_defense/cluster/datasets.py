"""Ray Data: ranges of a source as read tasks that end as shards, and shards as a dataset for anything in Ray Data."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data import Dataset
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from ray_defense.cluster.errors import original
from ray_defense.core import progress
from ray_defense.core.errors import Failed
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.protocols import IngestJob

_WHOLE = 1 << 40  # bytes: a block of ours is one shard and must not be cut


class RangeDatasource(Datasource):
    """One read task a range of source indices: `read(low, high)` gives a dict of NumPy columns."""

    def __init__(self, read: Callable[[int, int], dict[str, Any]], ranges: list[tuple[int, int]], row_bytes: int | None = None):
        self._read, self._ranges, self._row_bytes = read, ranges, row_bytes

    def estimate_inmemory_data_size(self) -> int | None:
        return None if self._row_bytes is None else sum(high - low for low, high in self._ranges) * self._row_bytes

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        def task(low: int, high: int) -> ReadTask:
            size = None if self._row_bytes is None else (high - low) * self._row_bytes
            metadata = BlockMetadata(num_rows=high - low, size_bytes=size, input_files=None, exec_stats=None)
            return ReadTask(partial(_read_block, self._read, low, high), metadata, per_task_row_limit=per_task_row_limit)

        return [task(low, high) for low, high in self._ranges]


def _read_block(read: Callable[[int, int], dict[str, Any]], low: int, high: int) -> Iterator[pa.Table]:
    yield BlockAccessor.batch_to_block(_columns(read(low, high)))


def _columns(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the columns with text as fixed-width strings, which Arrow takes without pickling."""
    return {name: array.astype(str) if array.dtype == object else array for name, array in columns.items()}


def _change(change: Callable[[dict[str, Any]], dict[str, Any]], columns: dict[str, Any]) -> dict[str, Any]:
    return _columns(change(columns))


@contextlib.contextmanager
def _whole_blocks() -> Iterator[None]:
    context = ray.data.DataContext.get_current()
    changed = {"target_max_block_size": _WHOLE, "enable_progress_bars": False, "raise_original_map_exception": True}
    before = {name: getattr(context, name) for name in changed}
    try:
        for name, value in changed.items():
            setattr(context, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def ingest(job: IngestJob) -> None:
    """Reads, changes and writes each range of `job`, one task a range; raises what a range raised."""
    with _whole_blocks():
        dataset = ray.data.read_datasource(RangeDatasource(job.read, list(job.ranges)), override_num_blocks=len(job.ranges))
        for step in (job.change, job.write):
            dataset = dataset.map_batches(partial(_change, step), batch_size=None, batch_format="numpy")
        try:
            for done, _ in enumerate(_watched(dataset.iter_rows, job.patience_s)):
                progress.tell("suspect", done + 1, len(job.ranges))
        except ray.exceptions.RayError as error:
            raise original(error) from None


def _watched(make: Callable[[], Iterator[Any]], patience_s: float) -> Iterator[Any]:
    """Yields what `make()` yields, taken by another thread; raises Failed when nothing comes for `patience_s` seconds."""
    taken: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def take() -> None:
        try:
            for item in make():
                taken.put((True, item))
            taken.put((False, None))
        except BaseException as error:
            taken.put((False, error))

    threading.Thread(target=take, daemon=True).start()
    while True:
        try:
            going_on, item = taken.get(timeout=patience_s)
        except queue.Empty:
            raise Failed(f"no shard was written in {patience_s:.0f} s: a task hangs; run again to resume") from None
        if not going_on and item is not None:
            raise item
        if not going_on:
            return
        yield item


def read_shards(directory: str | Path) -> Dataset:
    """Returns the shards of a suspect dataset as a Ray dataset: index int64, image uint8 [H, W, 3], label int64.

    Rows are read through NumPy (compiling a Loader in every read task is a hundred times slower); their order is not
    promised, `index` says which is which. Raises Refused for a directory that is not a finished dataset.
    """
    shards = ShardSet(Path(directory).resolve())
    counts = np.bincount(shards.shard, minlength=shards.num_shards)
    starts = np.concatenate(([0], np.cumsum(counts)))
    ranges = [(int(low), int(high)) for low, high in zip(starts[:-1], starts[1:], strict=True) if high > low]
    row_bytes = int(np.prod(shards.image_shape)) + 16
    read = partial(_read_rows, shards.directory)
    return ray.data.read_datasource(RangeDatasource(read, ranges, row_bytes), override_num_blocks=len(ranges))


def _read_rows(directory: Path, low: int, high: int) -> dict[str, np.ndarray]:
    """Returns the samples whose places among all shards, in order, are low..high-1: those of one shard."""
    shards = ShardSet(directory)
    positions = np.lexsort((shards.row, shards.shard))[low:high]
    file = shards.open(int(shards.shard[positions[0]]))
    rows = shards.row[positions].astype(np.int64)
    return {"index": file.index[rows], "image": file.images(rows), "label": file.labels[rows]}
