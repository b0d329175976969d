"""Parquet files of encoded images and labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.data.decode import DecodedImage, DecodeError, decode_recorded
from ray_defense.data.limits import MAX_CLASSES, MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.label_mapping import ClassMapping, known_classes, map_labels
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.sources.split_files import SplitFiles, find_split_files

if TYPE_CHECKING:
    from ray_defense.data.sources.parquet_schema import ColumnNames


@dataclass(frozen=True)
class Parquet:
    """Images and labels in two columns of Parquet files; other columns are not read.

    An image is bytes, or Hugging Face's struct with a field `bytes`. A label is a number or a name.
    `find_split_files` says which files of a folder are read.

    Without `num_classes`, the names in the metadata of the schema give the classes (see
    `class_names_of`), and without those the labels of the training set do (see `map_labels`).
    """

    name: ClassVar[str] = "parquet"
    path: str = ""  # a file (training set alone), or a folder of files whose names say the split
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: see above
    limit: int | None = None  # training samples, the first of the source; None: all
    image_column: str = ""  # empty: the first of the usual names (see `column_names`)
    label_column: str = ""

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)
        if self.limit is not None:
            check_at_least("limit", self.limit, 1)

    def info(self) -> SourceInfo:
        mapping = self._mapping()
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        from ray_defense.data.sources.parquet_rows import read_labels

        files = self._files().paths(split)
        limit = self.limit if split == "train" else None
        return self._mapping().labels_of(read_labels(files, self._column_names(), limit))

    def signature(self, split: SourceSplit) -> str:
        found = self._files()
        files = found.train if split == "train" else found.test
        return files_signature(found.root, files) if files else ""

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        return collect_batch(self.read_encoded(split, low, high), self.info(), self._decode_row)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        from ray_defense.data.sources.parquet_rows import stream_samples

        if split == "train" and self.limit is not None:
            high = min(high, self.limit)
        yield from stream_samples(
            self._files().paths(split),
            self._column_names(),
            self._mapping(),
            low=max(low, 0),
            high=high,
        )

    def describe(self) -> SourceDescription:
        found = self._files()
        recognized = (*found.recognized, *self._mapping().sentences())
        return SourceDescription(recognized, found.left_out)

    def decode(self, data: bytes | None) -> np.ndarray:
        return self._decode_row(data).pixels

    def _decode_row(self, data: bytes | None) -> DecodedImage:
        if data is None:
            raise DecodeError("no image bytes in the row")
        return decode_recorded(data, self.size)

    def _files(self) -> SplitFiles:
        return find_split_files(self.path, (".parquet",))

    def _column_names(self) -> "ColumnNames":
        from ray_defense.data.sources.parquet_schema import ColumnNames

        return ColumnNames(self.image_column, self.label_column)

    def _mapping(self) -> ClassMapping:
        return _mapping_of(self, self.signature("train"))


@lru_cache(maxsize=8)  # reading the labels of a large set takes seconds, and every range needs it
def _mapping_of(source: Parquet, signature: str) -> ClassMapping:
    """Returns the classes of a source whose training files have a signature."""
    from ray_defense.data.sources.parquet_rows import describe_file, read_labels

    files = source._files().paths("train")
    names = source._column_names()
    described = describe_file(files[0], names)
    num_classes = source.num_classes or len(described.class_names)
    if num_classes and not described.columns.has_text_labels:
        return known_classes(described.class_names, num_classes)
    given = read_labels(files, names, source.limit)
    return map_labels(given, (), source.num_classes, origin=repr(str(files[0])))
