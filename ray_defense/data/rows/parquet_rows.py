"""Rows of a Parquet file of encoded images, streamed with a cap on what they decode to.

Encoded images hardly compress, so a file that grows by more than `MAX_GROWTH` when it is decoded
was made to fill the memory. What its footer says of sizes is not believed: see
`decoding.parquet_pages`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.data.rows.image_rows import (
    FileDescription,
    RowPart,
    column_codes,
    column_numbers,
    samples_of,
)
from ray_defense.data.rows.label_mapping import ClassMapping, GivenLabels, TextCodes
from ray_defense.data.rows.parquet_schema import (
    ColumnNames,
    ImageColumns,
    choose_columns,
    class_names_of,
)
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.text import shortened
from ray_defense.decoding.parquet_pages import (
    ColumnChunk,
    PageError,
    read_row_groups,
    walk_pages,
)

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
_MAX_ORIGIN_PAGE_BYTES = 2**18
_Reads = RowPart | Literal["samples", "labels"]


def describe_file(file: Path, names: ColumnNames) -> FileDescription:
    """Returns what a file says of itself.

    Raises:
        InputError: If it is damaged, has other columns, or names more classes than there can be.
    """
    key = (file, _file_state(file), names)
    known = _descriptions.get(key)
    if known is not None:
        return known
    try:
        with _opened(file) as opened:
            columns = choose_columns(file, opened.schema_arrow, names)
            class_names = class_names_of(file, opened.schema_arrow, columns.label)
            metadata = opened.metadata
            num_rows = 0
            for group in range(metadata.num_row_groups):
                num_rows += metadata.row_group(group).num_rows
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the schema of {str(file)!r} ({shortened(error)}): "
            "damaged or another format"
        ) from None
    description = FileDescription(columns, class_names, num_rows)
    _keep(_descriptions, key, description)
    return description


def read_labels(files: Sequence[Path], names: ColumnNames, limit: int | None) -> GivenLabels:
    """Returns the labels of files one after another; -1 for a missing or fractional one.

    Args:
        files: The files of a split.
        names: The columns that the user names.
        limit: The number of rows that are read, the first ones; None for all.

    Raises:
        InputError: If a file is damaged, has other columns or decodes to too much.
    """
    parts = [np.zeros(0, dtype=np.int64)]
    num_rows = 0
    codes = None
    for number, file in enumerate(files):
        has_texts = describe_file(file, names).columns.has_text_labels
        if number == 0 and has_texts:
            codes = TextCodes(f"{str(file)!r}")
        if has_texts != (codes is not None):
            raise InputError(
                f"the labels of {str(file)!r} and of {str(files[0])!r} are of two kinds, numbers "
                "and names: write one again"
            )
        rows_stream = _RowStream(file, names, 0, reads="labels")
        try:
            while limit is None or num_rows < limit:
                rows = rows_stream.next_rows()
                if rows is None:
                    break
                labels = rows[rows_stream.columns.label]
                parts.append(
                    column_numbers(labels) if codes is None else column_codes(labels, codes)
                )
                num_rows += len(rows)
        finally:
            rows_stream.close()
    texts = None if codes is None else codes.texts()
    return GivenLabels(np.concatenate(parts)[:limit], texts)


def stream_rows(
    files: Sequence[Path], names: ColumnNames, reads: RowPart
) -> Iterator[tuple[pa.RecordBatch, ImageColumns]]:
    """Yields rows of files one after another, with the columns that they have.

    Args:
        files: The files of a split.
        names: The columns that the user names.
        reads: Which part of an image is read.

    Raises:
        InputError: If a file is damaged, has other columns or decodes to too much.
    """
    for file in files:
        stream = _RowStream(file, names, 0, reads=reads)
        try:
            rows = stream.next_rows()
            while rows is not None:
                yield rows, stream.columns
                rows = stream.next_rows()
        finally:
            stream.close()


# The stream that read the last range in this process. The next range often begins where it stands,
# and a row group can only be read from its start: without it, every range would read its row group
# again, which takes the square of the number of rows.
_last_stream: "list[_RowStream]" = []


def stream_samples(
    files: Sequence[Path], names: ColumnNames, mapping: ClassMapping, *, low: int, high: int
) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields the rows low to high - 1 of files; the content of a sample is None without an image.

    Args:
        files: The files of a split, whose rows are numbered one after another.
        names: The columns that the user names.
        mapping: What the labels of the rows stand for.
        low: The first row.
        high: The row after the last.

    Raises:
        InputError: If a file is damaged, has other columns or decodes to too much.
    """
    start = 0
    for file in files:
        if start >= high:
            break
        end = start + describe_file(file, names).num_rows
        if low < end:
            yield from _stream_file(
                file, names, mapping, first=max(low - start, 0), end=high - start, start=start
            )
        start = end


def _stream_file(
    file: Path, names: ColumnNames, mapping: ClassMapping, *, first: int, end: int, start: int
) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields the rows first to end - 1 of a file, whose first row has the index `start`."""
    if first >= end:
        return
    stream = _stream_at(file, names, first)
    finished = False
    try:
        while True:
            rows = stream.next_rows()
            if rows is None:
                break
            position = stream.position - len(rows)
            low = max(first - position, 0)
            high = min(end - position, len(rows))
            if low < high:
                wanted = rows.slice(low, high - low)
                index = start + position + low
                yield from samples_of(wanted, stream.columns, mapping, index=index)
            if stream.position >= end:
                # Rows of the batch that lie behind the range belong to the next one.
                stream.put_back(rows, max(end - position, 0))
                finished = True
                break
    finally:
        if finished:
            _last_stream.append(stream)
        else:
            stream.close()


def _stream_at(file: Path, names: ColumnNames, low: int) -> "_RowStream":
    """Returns a stream that has row `low`, or the rows before it in its row group, still to come.

    It is the last one where that is nearer than a new one.
    """
    while _last_stream:
        stream = _last_stream.pop()
        if stream.continues(file, names, low):
            return stream
        stream.close()
    return _RowStream(file, names, low)


@dataclass(frozen=True)
class _Layout:
    """The row groups of a file, all pages of which have been measured."""

    starts: np.ndarray  # int64 [G], the first row of each
    ends: np.ndarray  # int64 [G]
    columns: ImageColumns
    page_bytes: dict[str, int]  # of the largest page of each column, decoded

    def paths_read(self, reads: _Reads) -> list[str]:
        """Returns the columns that a stream reads."""
        bytes_path = self.columns.bytes_path
        origin_path = self.columns.origin_path
        paths = []
        if reads in ("labels", "samples"):
            paths.append(self.columns.label)
        if reads in ("bytes", "samples") and bytes_path is not None:
            paths.append(bytes_path)
        if origin_path is not None:
            # Beside the bytes, what is larger is no name of a file.
            is_short = self.page_bytes.get(origin_path, 0) <= _MAX_ORIGIN_PAGE_BYTES
            if reads == "paths" or (reads == "samples" and is_short):
                paths.append(origin_path)
        return paths

    def rows_in_a_step(self, paths: Sequence[str], most: int) -> int:
        """Returns how many rows may be decoded at a time."""
        # One value of a dictionary page, repeated, can make every row as large as it.
        row_bytes = 1
        for path in paths:
            if path != self.columns.label or self.columns.has_text_labels:
                row_bytes += self.page_bytes.get(path, 0)
        return max(1, min(most, _STEP_BYTES // row_bytes))


class _RowStream:
    """Reads a file a few rows at a time, from the start of a row group on.

    Attributes:
        columns: The columns that it reads.
        position: The row that comes next.
    """

    def __init__(self, file: Path, names: ColumnNames, low: int, reads: _Reads = "samples") -> None:
        """Opens the file at the row group that holds row `low`.

        Args:
            file: The file.
            names: The columns that the user names.
            low: The first row that is wanted.
            reads: Which columns are read: labels and images, or one of them.
        """
        self._file = file
        self._names = names
        self._state = _file_state(file)
        try:
            self._opened = _opened(file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(file, error) from None
        try:
            self._layout = _measured(file, names, self._opened)
            self.columns = self._layout.columns
            groups = np.flatnonzero(self._layout.ends > low)
            self._end = int(self._layout.ends[-1]) if len(groups) else 0
            self.position = int(self._layout.starts[groups[0]]) if len(groups) else 0
            self._budget = max(MIN_BUDGET_BYTES, MAX_GROWTH * self._state[2])
            self._pending: pa.RecordBatch | None = None
            columns = self._layout.paths_read(reads)
            for path in columns:
                _check_page(file, self._layout.page_bytes.get(path, 0), self._state[2])
            most = _MAX_IMAGES if reads in ("bytes", "samples") else _MAX_LABELS
            step = self._layout.rows_in_a_step(columns, most)
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

    def continues(self, file: Path, names: ColumnNames, low: int) -> bool:
        """Returns whether row `low` of a file is still to come, and not in a later row group."""
        if (file, names) != (self._file, self._names) or low < self.position:
            return False
        if _file_state(file) != self._state:
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
_Key = tuple[Path, FileState, ColumnNames]
_Known = TypeVar("_Known")
_layouts: dict[_Key, _Layout] = {}
_descriptions: dict[_Key, FileDescription] = {}
_MAX_KNOWN_FILES = 512


def _keep(known: dict[_Key, _Known], key: _Key, value: _Known) -> None:
    if len(known) >= _MAX_KNOWN_FILES:
        known.clear()
    known[key] = value


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


def _measured(file: Path, names: ColumnNames, opened: pq.ParquetFile) -> _Layout:
    """Returns the row groups of a file; the headers of all its pages are read once a process."""
    key = (file, _file_state(file), names)
    layout = _layouts.get(key)
    if layout is None:
        columns = choose_columns(file, opened.schema_arrow, names)
        layout = _measure(file, opened, columns, num_bytes=key[1][2])
        _keep(_layouts, key, layout)
    return layout


def _measure(
    file: Path, opened: pq.ParquetFile, columns: ImageColumns, *, num_bytes: int
) -> _Layout:
    metadata = opened.metadata
    if metadata.num_rows > _MAX_ROWS_PER_BYTE * num_bytes:
        raise InputError(
            f"{str(file)!r} has {metadata.num_rows} rows, "
            f"{metadata.num_rows // num_bytes} times its size in bytes: encoded images never do"
        )
    page_bytes: dict[str, int] = {}
    paths = [columns.label]
    for image_path in (columns.bytes_path, columns.origin_path):
        if image_path is not None:
            paths.append(image_path)
    counts = []
    with open(file, "rb") as raw:
        groups = read_row_groups(raw)
        if len(groups) != metadata.num_row_groups:
            raise PageError(f"{len(groups)} row groups, and not {metadata.num_row_groups}")
        for number, chunks in enumerate(groups):
            num_rows = metadata.row_group(number).num_rows
            counts.append(num_rows)
            for path in paths:
                column = _column_of(chunks, path)
                if column.num_values != num_rows:
                    raise PageError(f"{column.num_values} values in {num_rows} rows")
                for page in walk_pages(raw, column):
                    page_bytes[path] = max(page_bytes.get(path, 0), page.decoded_bytes)
                    if path != columns.origin_path:  # which need not be read
                        _check_page(file, page.decoded_bytes, num_bytes)
    ends = np.cumsum(np.array(counts, np.int64))
    return _Layout(
        starts=ends - np.array(counts, np.int64),
        ends=ends,
        columns=columns,
        page_bytes=page_bytes,
    )


def _check_page(file: Path, decoded_bytes: int, num_bytes: int) -> None:
    """Raises InputError for a page that decodes to far more than the bytes of its file."""
    if decoded_bytes > max(MIN_BUDGET_BYTES, MAX_PAGE_GROWTH * num_bytes):
        raise InputError(
            f"{str(file)!r} has a page that decodes to {decoded_bytes} bytes, "
            f"{decoded_bytes // num_bytes} times its size: encoded images never do"
        )


def _column_of(columns: Sequence[ColumnChunk], path: str) -> ColumnChunk:
    # Arrow reads what has the name, and what has it before a dot.
    found = []
    for column in columns:
        if column.path == path or column.path.startswith(f"{path}."):
            found.append(column)
    if len(found) != 1 or found[0].path != path:
        raise PageError(f"a row group has {len(found)} columns {path}")
    return found[0]
