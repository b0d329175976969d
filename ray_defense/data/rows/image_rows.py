"""Rows of images and labels, as Arrow holds them, made into samples."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

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


def holds_bytes(rows: pa.RecordBatch, columns: ImageColumns) -> bool:
    """Returns whether a row has the bytes of an image."""
    images = rows[columns.image]
    if pa.types.is_struct(images.type):
        images = _field(images, "bytes")
    return bool(images.null_count < len(images))


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


class NamedFiles:
    """The paths of the images in rows, gathered up to what the memory should hold."""

    def __init__(self, origin: str) -> None:
        """Prepares for the rows of some files, which errors call `origin`."""
        self.paths: list[str] = []
        self._num_bytes = 0
        self._origin = origin

    def add(self, rows: pa.RecordBatch, columns: ImageColumns) -> None:
        """Adds the paths of some rows.

        Raises:
            InputError: If there are too many, or they are too long.
        """
        some = paths_of(rows, columns)
        self.paths += some
        self._num_bytes += sum(len(path) for path in some)
        if len(self.paths) > MAX_NAMED_FILES or self._num_bytes > MAX_PATHS_BYTES:
            raise InputError(
                f"{self._origin} names more than {MAX_NAMED_FILES} images, or its paths take more "
                f"than {MAX_PATHS_BYTES} bytes: split it"
            )


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
