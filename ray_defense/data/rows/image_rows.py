"""Rows of images and labels, as Arrow holds them, made into samples."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_NAME_CHARACTERS, MAX_NAMED_FILES, MAX_PATHS_BYTES
from ray_defense.data.rows.label_mapping import (
    ClassMapping,
    GivenLabels,
    TextCodes,
    whole_numbers,
)
from ray_defense.data.rows.parquet_schema import ImageColumns
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.text import shortened

RowPart = Literal["bytes", "paths"]  # what is read of an image

_MAX_PATH_BYTES = 2**15  # systems take 4,096 of a path, and 255 of each of its parts


@dataclass(frozen=True)
class FileDescription:
    """What a file says of itself, before a row is read."""

    columns: ImageColumns
    class_names: tuple[str, ...]  # () where it names none
    num_rows: int


def samples_of(
    rows: pa.RecordBatch, columns: ImageColumns, mapping: ClassMapping, *, index: int
) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields rows as the samples from an index on."""
    if columns.has_text_labels:
        text_codes = TextCodes("the rows")
        codes = column_codes(rows[columns.label], text_codes)
        labels = mapping.labels_of(GivenLabels(codes, text_codes.texts()))
    else:
        labels = mapping.labels_of(GivenLabels(column_numbers(rows[columns.label])))
    images = rows[columns.image]
    origins: list[bytes | None] = [None] * len(rows)
    if pa.types.is_struct(images.type):
        if columns.origin_path is not None and images.type.get_field_index("path") >= 0:
            origins = _field(images, "path").cast(pa.large_binary()).to_pylist()
        images = _field(images, "bytes")
    for row, content in enumerate(images.to_pylist()):
        origin = f"row {index + row}"
        path = origins[row]
        if path:
            origin = shortened(path.decode(errors="backslashreplace"), MAX_NAME_CHARACTERS)
        yield UndecodedSample(index + row, origin, int(labels[row]), content)


def _field(structs: pa.StructArray, name: str) -> pa.Array:
    """Returns a field of structs, null where the struct is; names of others may be no UTF-8."""
    return structs.flatten()[structs.type.get_field_index(name)]


def has_bytes(batches: Iterable[tuple[pa.RecordBatch, ImageColumns]]) -> bool:
    """Returns whether a row has the bytes of an image; reads up to the first that has."""
    for rows, columns in batches:
        images = rows[columns.image]
        if pa.types.is_struct(images.type):
            images = _field(images, "bytes")
        if images.null_count < len(images):
            return True
    return False


def paths_of(rows: pa.RecordBatch, columns: ImageColumns) -> list[str]:
    """Returns the path of the file of each row, perhaps no valid UTF-8.

    It is "" for a row without one, or with a text that is too long for one.
    """
    images = rows[columns.image]
    if pa.types.is_struct(images.type):
        images = _field(images, "path")
    if pa.types.is_dictionary(images.type):
        images = images.dictionary_decode()
    texts = images.cast(pa.large_binary()).to_pylist()
    return [os.fsdecode(text) if text and len(text) <= _MAX_PATH_BYTES else "" for text in texts]


def read_paths(
    batches: Iterable[tuple[pa.RecordBatch, ImageColumns]], limit: int | None, origin: str
) -> list[str]:
    """Returns the paths of the images in rows, "" for a missing one.

    Args:
        batches: Rows, and the columns that they have.
        limit: How many rows are read, the first ones; None for all.
        origin: What errors call the rows.

    Raises:
        InputError: If there are too many, or they are too long for the memory.
    """
    paths: list[str] = []
    num_bytes = 0
    for rows, columns in batches:
        some = paths_of(rows, columns)
        paths += some
        num_bytes += sum(len(path) for path in some)
        if len(paths) > MAX_NAMED_FILES or num_bytes > MAX_PATHS_BYTES:
            raise InputError(
                f"{origin} names more than {MAX_NAMED_FILES} images, or its paths take more "
                f"than {MAX_PATHS_BYTES} bytes: split it"
            )
        if limit is not None and len(paths) >= limit:
            break
    return paths[:limit]


def column_numbers(labels: pa.Array) -> np.ndarray:
    """Returns int64 [N]; -1 for a label that is missing or not whole."""
    if pa.types.is_dictionary(labels.type):
        labels = labels.dictionary_decode()
    # Nulls become NaN.
    return whole_numbers(labels.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def column_codes(labels: pa.Array, codes: TextCodes) -> np.ndarray:
    """Returns the number of the text in each row, int64 [N]; -1 where there is none."""
    if not pa.types.is_dictionary(labels.type):
        labels = labels.cast(pa.large_binary()).dictionary_encode()
    code_of = []
    for text in labels.dictionary.cast(pa.large_binary()).to_pylist():
        code_of.append(codes.code(None if text is None else text.decode(errors="backslashreplace")))
    code_of.append(-1)  # of a missing index, which is -1
    rows = labels.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    numbers: np.ndarray = np.array(code_of, np.int64)[rows]
    return numbers
