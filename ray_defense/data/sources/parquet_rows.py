"""Rows of a Parquet file of encoded images, streamed with a cap on what they decode to.

Encoded images hardly compress, so a file that grows by more than `MAX_GROWTH` when it is decoded
was made to fill the memory. Only this module of the sources imports pyarrow.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.data.sources.collect import UndecodedSample

MAX_GROWTH = 100  # decoded bytes for each byte of the file
MIN_BUDGET_BYTES = 2**26  # any file may decode to these
# Read from the file at a time; without a limit Arrow takes a whole column of a row group.
_BUFFER_BYTES = 2**20
# Decoded at a time, at most; Arrow's buffers take about three times that.
_STEP_BYTES = 2**24
_MAX_IMAGES = 64  # rows decoded at a time
_MAX_LABELS = 65536


def read_class_names(file: Path) -> tuple[str, ...]:
    """Returns the class names in the metadata of a file, or () if it has none.

    Raises:
        InputError: If the schema cannot be read.
    """
    try:
        metadata = pq.read_schema(file).metadata or {}
        text = metadata.get(b"classes", b"").decode()
        names = _parse_class_names(text)
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read the schema of {str(file)!r} ({error}): damaged or another format"
        ) from None
    return tuple(str(name) for name in names)


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
    for _, rows in _stream_rows(file, ["label"], 0, limit):
        parts.append(_whole_numbers(rows["label"]))
    return np.concatenate(parts)[:limit]


def stream_samples(file: Path, low: int, high: int) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields the rows low to high - 1; the content of a sample is None if it has no image.

    Raises:
        InputError: If the file is damaged, has other columns or decodes to too much.
    """
    for start, rows in _stream_rows(file, ["image", "label"], low, high):
        first = max(low - start, 0)
        end = min(high - start, len(rows))
        if first >= end:
            continue
        labels = _whole_numbers(rows["label"])
        images = rows["image"].slice(first, end - first).to_pylist()
        for row, image in enumerate(images, first):
            content = image.get("bytes") if isinstance(image, dict) else image
            index = start + row
            yield UndecodedSample(index, f"row {index}", int(labels[row]), content)


def _stream_rows(
    file: Path, columns: list[str], low: int, high: int | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yields a few rows at a time, with the index of the first, of the row groups of a range.

    The row groups are those that hold any of the rows low to high - 1.
    """
    try:
        with pq.ParquetFile(file, buffer_size=_BUFFER_BYTES) as opened:
            _check_schema(file, opened.schema_arrow)
            group = opened.metadata.row_group
            counts = [group(number).num_rows for number in range(opened.num_row_groups)]
            ends = np.cumsum(counts, dtype=np.int64)
            starts = ends - counts
            in_range = (ends > low) & (high is None or starts < high)
            groups = np.flatnonzero(in_range).tolist()
            if not groups:
                return
            budget = max(MIN_BUDGET_BYTES, MAX_GROWTH * file.stat().st_size)
            largest_group = max(group(number).total_byte_size for number in groups)
            batches = opened.iter_batches(
                batch_size=_step(columns, largest_group),
                row_groups=groups,
                columns=columns,
                use_threads=False,
            )
            index = int(starts[groups[0]])
            end = int(ends[groups[-1]])
            for rows in batches:
                budget -= rows.nbytes
                if budget < 0:
                    raise InputError(
                        f"{str(file)!r} decodes to over {MAX_GROWTH} times its size: "
                        "encoded images never do"
                    )
                yield index, rows
                index += len(rows)
                if high is not None and index >= high:
                    return
            if index != end:
                raise InputError(
                    f"{str(file)!r} says it has {end} rows and ends at {index}: write it again"
                )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"cannot read {str(file)!r} as Parquet ({error}): damaged or another format"
        ) from None


def _step(columns: list[str], largest_group_bytes: int) -> int:
    """Returns how many rows are decoded at a time."""
    if "image" not in columns:
        return _MAX_LABELS
    # One value of a dictionary page, repeated, can make every row as large as its group claims to
    # be in all.
    return max(1, min(_MAX_IMAGES, _STEP_BYTES // max(1, largest_group_bytes)))


def _check_schema(file: Path, schema: pa.Schema) -> None:
    image = _column_type(schema, "image")
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
    label = _column_type(schema, "label")
    is_bytes = image in (pa.binary(), pa.large_binary())
    is_number = pa.types.is_integer(label) or pa.types.is_floating(label)
    if not (is_bytes and is_number):
        columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
        message = (
            f"{str(file)!r} must have the columns image (bytes, or a struct with bytes) and "
            f"label (a number), not {columns}"
        )
        raise InputError(message[:1000])


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
