"""Rows of Arrow streams of encoded images, a record batch at a time.

Nothing in such a file is compressed, so what a batch takes in memory is what it takes in the file:
see `decoding.arrow_messages`. Arrow checks every offset in a batch before one is followed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

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
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.arrow_messages import (
    ArrowStreamError,
    BatchPlace,
    StreamLayout,
    walk_stream,
)

_STEP_ROWS = 64  # made into Python objects at a time
_MAX_KNOWN_FILES = 512
_FileState = tuple[int, int, int, int]


def describe_file(file: Path, names: ColumnNames) -> FileDescription:
    """Returns what a file says of itself.

    Raises:
        InputError: If it is damaged, has other columns, or names more classes than there can be.
    """
    return _opened(file, names).description


def read_labels(files: Sequence[Path], names: ColumnNames, limit: int | None) -> GivenLabels:
    """Returns the labels of files one after another; -1 for a missing or fractional one.

    Args:
        files: The files of a split.
        names: The columns that the user names.
        limit: The number of rows that are read, the first ones; None for all.

    Raises:
        InputError: If a file is damaged or has other columns.
    """
    parts = [np.zeros(0, dtype=np.int64)]
    num_rows = 0
    codes = None
    for number, file in enumerate(files):
        stream = _opened(file, names)
        columns = stream.description.columns
        if number == 0 and columns.has_text_labels:
            codes = TextCodes(f"{str(file)!r}")
        if columns.has_text_labels != (codes is not None):
            raise InputError(
                f"the labels of {str(file)!r} and of {str(files[0])!r} are of two kinds, numbers "
                "and names: write one again"
            )
        for place in stream.layout.batches:
            if limit is not None and num_rows >= limit:
                break
            labels = stream.read(place)[columns.label]
            parts.append(column_numbers(labels) if codes is None else column_codes(labels, codes))
            num_rows += len(labels)
    texts = None if codes is None else codes.texts()
    return GivenLabels(np.concatenate(parts)[:limit], texts)


def stream_rows(
    files: Sequence[Path], names: ColumnNames, reads: RowPart
) -> Iterator[tuple[pa.RecordBatch, ImageColumns]]:
    """Yields rows of files one after another, with the columns that they have.

    Args:
        files: The files of a split.
        names: The columns that the user names.
        reads: Which part of an image is needed; here a record batch is read as a whole.

    Raises:
        InputError: If a file is damaged or has other columns.
    """
    for file in files:
        stream = _opened(file, names)
        for place in stream.layout.batches:
            yield stream.read(place), stream.description.columns


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
        InputError: If a file is damaged or has other columns.
    """
    start = 0
    for file in files:
        if start >= high:
            break
        stream = _opened(file, names)
        if start + stream.description.num_rows <= low:
            start += stream.description.num_rows
            continue
        for place in stream.layout.batches:
            end = start + place.num_rows
            if end > low and start < high:
                rows = stream.read(place)
                last = min(high, end)
                for step in range(max(low, start), last, _STEP_ROWS):
                    some = rows.slice(step - start, min(_STEP_ROWS, last - step))
                    yield from samples_of(some, stream.description.columns, mapping, index=step)
            start = end


@dataclass(frozen=True)
class _ArrowStream:
    """A file that has been looked through."""

    file: Path
    state: _FileState
    layout: StreamLayout
    schema: pa.Schema
    description: FileDescription

    def read(self, place: BatchPlace) -> pa.RecordBatch:
        """Returns the columns of images and labels of a record batch.

        Raises:
            InputError: If the file changed, or the batch is damaged.
        """
        try:
            with open(self.file, "rb") as opened:
                opened.seek(place.offset)
                data = opened.read(place.num_bytes)
                state = _state_of(os.fstat(opened.fileno()))
            if state != self.state:
                raise ArrowStreamError("it changed while it was read")
            rows = pa.ipc.read_record_batch(pa.py_buffer(data), self.schema)
            columns = self.description.columns
            rows = rows.select([columns.image, columns.label])
            rows.validate(full=True)
        except (pa.ArrowException, ArrowStreamError, OSError, ValueError) as error:
            raise _unreadable(self.file, error) from None
        if len(rows) != place.num_rows:
            raise _unreadable(self.file, f"{len(rows)} rows and not {place.num_rows}")
        return rows


_streams: dict[tuple[Path, _FileState, ColumnNames], _ArrowStream] = {}


def _opened(file: Path, names: ColumnNames) -> _ArrowStream:
    """Returns a file that has been looked through, which happens once a process."""
    try:
        state = _state_of(os.stat(file))
        known = _streams.get((file, state, names))
        if known is not None:
            return known
        with open(file, "rb") as opened:
            layout = walk_stream(opened)
            opened.seek(0)
            schema = pa.ipc.read_schema(pa.py_buffer(opened.read(layout.schema_bytes)))
        columns = choose_columns(file, schema, names)
        _check_no_views(file, schema, columns)
        class_names = class_names_of(file, schema, columns.label)
    except (pa.ArrowException, ArrowStreamError, OSError, ValueError, RecursionError) as error:
        raise _unreadable(file, error) from None
    num_rows = sum(place.num_rows for place in layout.batches)
    description = FileDescription(columns, class_names, num_rows)
    stream = _ArrowStream(file, state, layout, schema=schema, description=description)
    if len(_streams) >= _MAX_KNOWN_FILES:
        _streams.clear()
    _streams[(file, state, names)] = stream
    return stream


def _check_no_views(file: Path, schema: pa.Schema, columns: ImageColumns) -> None:
    """Raises InputError for columns of views, all rows of which may be the same large bytes."""
    for name in (columns.image, columns.label):
        kind = schema.field(name).type
        kinds = [kind]
        if pa.types.is_struct(kind):
            kinds = [kind.field(number).type for number in range(kind.num_fields)]
        for one in kinds:
            if one in (pa.binary_view(), pa.string_view()):
                raise InputError(
                    f"the column {shortened(encodable(name), 40)} of {str(file)!r} is of views: "
                    "write it as binary, or the file as Parquet"
                )


def _state_of(status: os.stat_result) -> _FileState:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _unreadable(file: Path, error: object) -> InputError:
    return InputError(
        f"cannot read {shortened(encodable(str(file)))!r} as an Arrow stream "
        f"({shortened(encodable(str(error)))}): damaged, or not written by save_to_disk(); "
        "write the dataset again, or with to_parquet()"
    )
