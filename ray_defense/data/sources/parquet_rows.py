"""Rows of a Parquet file of encoded images, streamed with a cap on what they decode to.

Encoded images hardly compress, so a file that grows by more than `MAX_GROWTH` when it is decoded
was made to fill the memory. What its footer says of sizes is not believed: see `parquet_pages`.
Only these two modules of the sources import pyarrow.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASS_NAMES_BYTES, MAX_CLASSES
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.parquet_pages import (
    ColumnChunk,
    PageError,
    read_row_groups,
    walk_pages,
)
from ray_defense.data.text import class_name, shortened

MAX_GROWTH = 100  # decoded bytes for each byte of the file
MIN_BUDGET_BYTES = 2**26  # any file may decode to these
# A page is decoded as a whole, so it may grow less than a file, of which a part is in memory.
MAX_PAGE_GROWTH = 4  # decoded bytes of a page for each byte of the file
# A row takes more than a bit. Equal rows can take less, but hold nothing to be told apart.
_MAX_ROWS_PER_BYTE = 8
# Lists and texts in the footer: row groups have a hundred images at least, and the longest text is
# the schema with the names of all classes.
_MAX_FOOTER_ITEMS = 2**17
_MAX_FOOTER_TEXT_BYTES = 2**24
_MAX_FOOTER_BYTES = 2**26
# Read from the file at a time; without a limit Arrow takes a whole column of a row group.
_BUFFER_BYTES = 2**20
# Decoded at a time, at most; Arrow's buffers take about three times that.
_STEP_BYTES = 2**24
_MAX_IMAGES = 64  # rows decoded at a time
_MAX_LABELS = 65536


def read_class_names(file: Path) -> tuple[str, ...]:
    """Returns the class names in the metadata of a file, or () if it has none.

    Raises:
        InputError: If the schema cannot be read, or names more classes than there can be.
    """
    try:
        with _opened(file) as opened:
            metadata = opened.schema_arrow.metadata or {}
        data = metadata.get(b"classes", b"")
        if len(data) > MAX_CLASS_NAMES_BYTES:
            raise InputError(
                f"the class names of {str(file)!r} take {len(data)} bytes, more than "
                f"{MAX_CLASS_NAMES_BYTES}: write the file again without them"
            )
        names = _parse_class_names(data.decode())
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the schema of {str(file)!r} ({shortened(error)}): "
            "damaged or another format"
        ) from None
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"{str(file)!r} names {len(names)} classes, more than {MAX_CLASSES}: "
            "write the file again without them"
        )
    return tuple(class_name(name) for name in names)


def _parse_class_names(text: str) -> list[object]:
    if text.startswith("["):
        names: list[object] = json.loads(text)
        return names
    if not text:
        return []
    return list(text.split(","))


def read_labels(file: Path, limit: int | None) -> np.ndarray:
    """Returns the labels of a file, int64 [N]; -1 for one that is missing or fractional.

    Args:
        file: The file.
        limit: The number of rows that are read, the first ones; None for all.

    Raises:
        InputError: If the file is damaged, has other columns or decodes to too much.
    """
    parts = [np.zeros(0, dtype=np.int64)]
    rows_stream = _RowStream(file, "label", 0)
    try:
        while limit is None or rows_stream.position < limit:
            rows = rows_stream.next_rows()
            if rows is None:
                break
            parts.append(_whole_numbers(rows["label"]))
    finally:
        rows_stream.close()
    return np.concatenate(parts)[:limit]


# The stream that read the last range in this process. The next range often begins where it stands,
# and a row group can only be read from its start: without it, every range would read its row group
# again, which takes the square of the number of rows.
_last_stream: "list[_RowStream]" = []


def stream_samples(file: Path, low: int, high: int) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields the rows low to high - 1; the content of a sample is None if it has no image.

    Raises:
        InputError: If the file is damaged, has other columns or decodes to too much.
    """
    if low >= high:
        return
    stream = _stream_at(file, low)
    finished = False
    try:
        while True:
            rows = stream.next_rows()
            if rows is None:
                break
            start = stream.position - len(rows)
            first = max(low - start, 0)
            end = min(high - start, len(rows))
            if first < end:
                yield from _samples_of(rows, start, first, end=end)
            if stream.position >= high:
                # Rows of the batch that lie behind the range belong to the next one.
                stream.put_back(rows, max(high - start, 0))
                finished = True
                break
    finally:
        if finished:
            _last_stream.append(stream)
        else:
            stream.close()


def _stream_at(file: Path, low: int) -> "_RowStream":
    """Returns a stream that has row `low`, or the rows before it in its row group, still to come.

    It is the last one where that is nearer than a new one.
    """
    while _last_stream:
        stream = _last_stream.pop()
        if stream.continues(file, low):
            return stream
        stream.close()
    return _RowStream(file, "image", low)


def _samples_of(
    rows: pa.RecordBatch, start: int, first: int, *, end: int
) -> Iterator[UndecodedSample[bytes | None]]:
    labels = _whole_numbers(rows["label"])
    images = rows["image"].slice(first, end - first).to_pylist()
    for row, image in enumerate(images, first):
        content = image.get("bytes") if isinstance(image, dict) else image
        index = start + row
        yield UndecodedSample(index, f"row {index}", int(labels[row]), content)


@dataclass(frozen=True)
class _Layout:
    """The row groups of a file, all pages of which have been measured."""

    starts: np.ndarray  # int64 [G], the first row of each
    ends: np.ndarray  # int64 [G]
    image_page_bytes: int  # of the largest page of images, decoded
    image_path: str  # the column of the bytes, "image" or "image.bytes"


class _RowStream:
    """Reads a file a few rows at a time, from the start of a row group on.

    Attributes:
        position: The row that comes next.
    """

    def __init__(self, file: Path, column: str, low: int) -> None:
        """Opens the file at the row group that holds row `low`.

        Args:
            file: The file.
            column: "label" for labels alone, "image" for images and labels.
            low: The first row that is wanted.
        """
        self._file = file
        self._state = _file_state(file)
        try:
            self._opened = _opened(file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(file, error) from None
        try:
            self._layout = _measured(file, self._opened)
            groups = np.flatnonzero(self._layout.ends > low)
            self._end = int(self._layout.ends[-1]) if len(groups) else 0
            self.position = int(self._layout.starts[groups[0]]) if len(groups) else 0
            self._budget = max(MIN_BUDGET_BYTES, MAX_GROWTH * self._state[2])
            self._pending: pa.RecordBatch | None = None
            columns = ["label"]
            step = _MAX_LABELS
            if column == "image":
                columns = [self._layout.image_path, "label"]
                # One value of a dictionary page, repeated, can make every row as large as it.
                step = _STEP_BYTES // max(1, self._layout.image_page_bytes)
                step = max(1, min(_MAX_IMAGES, step))
            self._batches: Iterator[pa.RecordBatch] = iter(())
            if len(groups):
                self._batches = self._opened.iter_batches(
                    batch_size=step, row_groups=groups.tolist(), columns=columns, use_threads=False
                )
        except (pa.ArrowException, OSError, ValueError) as error:
            self.close()
            raise _unreadable(file, error) from None
        except BaseException:
            self.close()
            raise

    def continues(self, file: Path, low: int) -> bool:
        """Returns whether row `low` of a file is still to come, and not in a later row group."""
        if file != self._file or low < self.position or _file_state(file) != self._state:
            return False
        group = np.searchsorted(self._layout.ends, self.position, side="right")
        return bool(group < len(self._layout.ends) and low < self._layout.ends[group])

    def next_rows(self) -> pa.RecordBatch | None:
        """Returns the next rows, or None after the last."""
        rows = self._pending
        self._pending = None
        if rows is None:
            try:
                rows = next(self._batches, None)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise _unreadable(self._file, error) from None
            if rows is None:
                if self.position != self._end:
                    raise InputError(
                        f"{str(self._file)!r} says it has {self._end} rows and ends at "
                        f"{self.position}: write it again"
                    )
                return None
            self._budget -= rows.nbytes
            if self._budget < 0:
                raise InputError(
                    f"{str(self._file)!r} decodes to over {MAX_GROWTH} times its size: "
                    "encoded images never do"
                )
        self.position += len(rows)
        return rows

    def put_back(self, rows: pa.RecordBatch, first: int) -> None:
        """Makes the last rows from row `first` of them on those that come next."""
        if first < len(rows):
            self._pending = rows.slice(first)
            self.position -= len(rows) - first

    def close(self) -> None:
        self._opened.close()


def _opened(file: Path) -> pq.ParquetFile:
    """Opens a file whose footer is of a size that can be read.

    Raises:
        InputError: If it is too large.
        pa.ArrowException, OSError, ValueError: If the file is damaged.
    """
    with open(file, "rb") as raw:
        end = raw.seek(0, os.SEEK_END)
        raw.seek(max(end - 8, 0))
        footer_bytes = int.from_bytes(raw.read(4), "little")
    if _MAX_FOOTER_BYTES < footer_bytes <= end:
        raise InputError(
            f"the footer of {str(file)!r} takes {footer_bytes} bytes, more than "
            f"{_MAX_FOOTER_BYTES}: write it again with larger row groups"
        )
    return pq.ParquetFile(
        file,
        buffer_size=_BUFFER_BYTES,
        thrift_string_size_limit=_MAX_FOOTER_TEXT_BYTES,
        thrift_container_size_limit=_MAX_FOOTER_ITEMS,
    )


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot read {str(file)!r} as Parquet ({shortened(error)}): damaged or another format"
    )


FileState = tuple[int, int, int, int, int]
_layouts: dict[tuple[Path, FileState], _Layout] = {}


def _file_state(file: Path) -> FileState:
    """Returns what changes with the content of a file; its size comes third."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise _unreadable(file, error) from None
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _measured(file: Path, opened: pq.ParquetFile) -> _Layout:
    """Returns the row groups of a file; the headers of all its pages are read once a process."""
    key = (file, _file_state(file))
    layout = _layouts.get(key)
    if layout is None:
        layout = _measure(file, opened, num_bytes=key[1][2])
        _layouts.clear()
        _layouts[key] = layout
    return layout


def _measure(file: Path, opened: pq.ParquetFile, *, num_bytes: int) -> _Layout:
    image_path = _check_schema(file, opened.schema_arrow)
    metadata = opened.metadata
    if metadata.num_rows > _MAX_ROWS_PER_BYTE * num_bytes:
        raise InputError(
            f"{str(file)!r} has {metadata.num_rows} rows, "
            f"{metadata.num_rows // num_bytes} times its size in bytes: encoded images never do"
        )
    max_page_bytes = max(MIN_BUDGET_BYTES, MAX_PAGE_GROWTH * num_bytes)
    image_page_bytes = 0
    counts = []
    with open(file, "rb") as raw:
        groups = read_row_groups(raw)
        if len(groups) != metadata.num_row_groups:
            raise PageError(f"{len(groups)} row groups, and not {metadata.num_row_groups}")
        for number, columns in enumerate(groups):
            num_rows = metadata.row_group(number).num_rows
            counts.append(num_rows)
            for path in (image_path, "label"):
                column = _column_of(columns, path)
                if column.num_values != num_rows:
                    raise PageError(f"{column.num_values} values in {num_rows} rows")
                for page in walk_pages(raw, column):
                    if page.decoded_bytes > max_page_bytes:
                        raise InputError(
                            f"{str(file)!r} has a page that decodes to {page.decoded_bytes} bytes, "
                            f"{page.decoded_bytes // num_bytes} times its size: "
                            "encoded images never do"
                        )
                    if path == image_path:
                        image_page_bytes = max(image_page_bytes, page.decoded_bytes)
    ends = np.cumsum(np.array(counts, np.int64))
    return _Layout(
        starts=ends - np.array(counts, np.int64),
        ends=ends,
        image_page_bytes=image_page_bytes,
        image_path=image_path,
    )


def _column_of(columns: Sequence[ColumnChunk], path: str) -> ColumnChunk:
    for column in columns:
        if column.path == path:
            return column
    raise PageError(f"a row group has no column {path}")


def _check_schema(file: Path, schema: pa.Schema) -> str:
    """Returns the path of the column with the bytes of the images."""
    image = _column_type(schema, "image")
    path = "image"
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
        path = "image.bytes"
    label = _column_type(schema, "label")
    is_bytes = image in (pa.binary(), pa.large_binary())
    is_number = pa.types.is_integer(label) or pa.types.is_floating(label)
    if not (is_bytes and is_number):
        message = (
            f"{str(file)!r} must have the columns image (bytes, or a struct with bytes) and "
            f"label (a number), not {_described(schema.names, schema.types)}"
        )
        raise InputError(message)
    return path


def _described(names: Sequence[str], types: Sequence[pa.DataType]) -> str:
    columns = []
    for name, kind in zip(names[:20], types[:20], strict=True):
        columns.append(f"{shortened(name, 40)}: {shortened(kind, 40)}")
    return shortened(", ".join(columns), 1000)


def _column_type(schema: pa.Schema, name: str) -> pa.DataType:
    """Returns the type of a column; null unless there is exactly one of that name."""
    if schema.names.count(name) != 1:
        return pa.null()
    return schema.field(name).type


def _whole_numbers(labels: pa.Array) -> np.ndarray:
    """Returns int64 [N]: whole numbers below 2^53 as they are, anything else as -1."""
    values = labels.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    # Nulls have become NaN.
    whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (values == np.rint(values))
    return np.where(whole, values, -1).astype(np.int64)
