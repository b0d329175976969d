"""Rows of images and labels, as Arrow holds them, made into samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ray_defense.data.limits import MAX_NAME_CHARACTERS
from ray_defense.data.rows.label_mapping import (
    ClassMapping,
    GivenLabels,
    TextCodes,
    whole_numbers,
)
from ray_defense.data.rows.parquet_schema import ImageColumns
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.text import shortened


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
        # Flattened, a field is null where the struct is.
        fields = dict(zip(images.type.names, images.flatten(), strict=True))
        images = fields["bytes"]
        if columns.origin_path is not None and "path" in fields:
            origins = fields["path"].cast(pa.large_binary()).to_pylist()
    for row, content in enumerate(images.to_pylist()):
        origin = f"row {index + row}"
        path = origins[row]
        if path:
            origin = shortened(path.decode(errors="backslashreplace"), MAX_NAME_CHARACTERS)
        yield UndecodedSample(index + row, origin, int(labels[row]), content)


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
