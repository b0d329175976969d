"""Ray Data: ranges of a source as read tasks that end as shards, and shards as a dataset."""

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

from ray_defense.cluster.errors import ray_errors_told
from ray_defense.cluster.patience import Patience
from ray_defense.core.progress import report_progress
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.protocols import Columns, IngestJob

_NO_LIMIT_BYTES = 1 << 40  # a block of ours is one shard and must not be cut


class RangeDatasource(Datasource):  # type: ignore[misc]
    """One read task for each range of source indices."""

    def __init__(
        self,
        read: Callable[[int, int], Columns],
        ranges: list[tuple[int, int]],
        row_bytes: int | None = None,
    ):
        """Creates the datasource.

        Args:
            read: Returns the columns of the range low..high-1.
            ranges: The ranges, (low, high).
            row_bytes: Bytes a row in memory, where known.
        """
        self._read = read
        self._ranges = ranges
        self._row_bytes = row_bytes

    def estimate_inmemory_data_size(self) -> int | None:
        if self._row_bytes is None:
            return None
        num_rows = sum(high - low for low, high in self._ranges)
        return num_rows * self._row_bytes

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        tasks = []
        for low, high in self._ranges:
            num_rows = high - low
            metadata = BlockMetadata(
                num_rows=num_rows,
                size_bytes=None if self._row_bytes is None else num_rows * self._row_bytes,
                input_files=None,
                exec_stats=None,
            )
            function = partial(_read_block, self._read, low, high)
            tasks.append(ReadTask(function, metadata, per_task_row_limit=per_task_row_limit))
        return tasks


def _read_block(read: Callable[[int, int], Columns], low: int, high: int) -> Iterator[pa.Table]:
    yield BlockAccessor.batch_to_block(_without_objects(read(low, high)))


def _without_objects(columns: Columns) -> Columns:
    """Returns the columns with text as fixed-width strings, which Arrow takes without pickling."""
    converted = {}
    for name, array in columns.items():
        converted[name] = array.astype(str) if array.dtype == object else array
    return converted


def _run_step(step: Callable[[Columns], Columns], columns: Columns) -> Columns:
    return _without_objects(step(columns))


@contextlib.contextmanager
def _uncut_blocks() -> Iterator[None]:
    """Runs the body with Ray Data set to pass our blocks on whole, quietly."""
    context = ray.data.DataContext.get_current()
    settings = {
        "target_max_block_size": _NO_LIMIT_BYTES,
        "enable_progress_bars": False,
        "raise_original_map_exception": True,
    }
    before = {name: getattr(context, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(context, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def ingest_ranges(job: IngestJob, patience_s: float) -> None:
    """Reads, changes and writes each range of a job, one task a range; raises what one raised.

    Args:
        job: The job.
        patience_s: How long no range may be finished before the job is given up.
    """
    num_ranges = len(job.ranges)
    with _uncut_blocks():
        source = RangeDatasource(job.read, list(job.ranges))
        dataset = ray.data.read_datasource(source, override_num_blocks=num_ranges)
        for step in (job.change, job.write):
            dataset = dataset.map_batches(
                partial(_run_step, step), batch_size=None, batch_format="numpy"
            )
        report_progress("ingest", 0, num_ranges)
        with ray_errors_told("ingest"):
            rows = _watched(dataset.iter_rows, Patience(patience_s), num_ranges)
            for number, _ in enumerate(rows):
                report_progress("ingest", number + 1, num_ranges)


def _watched(
    start: Callable[[], Iterator[Any]], patience: Patience, num_ranges: int
) -> Iterator[Any]:
    """Yields what `start()` yields, taken by another thread.

    Raises:
        RunError: If nothing comes for as long as the patience lasts.
    """
    num_done = 0
    results: queue.Queue[tuple[str, Any]] = queue.Queue()

    def take() -> None:
        try:
            for item in start():
                results.put(("item", item))
            results.put(("end", None))
        except BaseException as error:
            results.put(("error", error))

    threading.Thread(target=take, daemon=True).start()
    while True:
        try:
            kind, value = results.get(timeout=patience.next_look_s)
        except queue.Empty:
            patience.check("ingest", "a task hangs, or no node has room for one")
            if patience.is_note_due():
                report_progress("ingest", num_done, num_ranges, note=patience.note())
            continue
        patience.news()
        num_done += 1
        if kind == "error":
            raise value
        if kind == "end":
            return
        yield value


def read_shards(directory: str | Path) -> Dataset:
    """Returns the shards of a suspect dataset as a Ray dataset.

    Rows are read through NumPy: compiling a Loader in every read task is a hundred times slower.
    Their order is not promised; `index` says which is which.

    Args:
        directory: A finished suspect dataset.

    Returns:
        A dataset with columns index int64, image uint8 [H, W, 3] and label int64.

    Raises:
        InputError: If the directory is no finished dataset.
    """
    dataset = SuspectDataset(Path(directory).resolve())
    counts = np.bincount(dataset.shard, minlength=dataset.num_shards)
    ranges = []
    low = 0
    for count in counts.tolist():
        if count:
            ranges.append((low, low + count))
        low += count
    row_bytes = int(np.prod(dataset.image_shape)) + 16
    read = partial(_read_rows, dataset.directory)
    source = RangeDatasource(read, ranges, row_bytes)
    return ray.data.read_datasource(source, override_num_blocks=len(ranges))


def _read_rows(directory: Path, low: int, high: int) -> Columns:
    """Returns samples low to high - 1 of all shards in order; together they are one shard."""
    dataset = SuspectDataset(directory)
    positions = np.lexsort((dataset.row, dataset.shard))[low:high]
    file = dataset.open_shard(int(dataset.shard[positions[0]]))
    rows = dataset.row[positions].astype(np.int64)
    return {"index": file.index[rows], "image": file.images(rows), "label": file.labels[rows]}
