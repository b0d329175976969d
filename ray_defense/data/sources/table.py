"""A folder of image files, and a CSV or TSV file that says which of them has which label."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import decode_image
from ray_defense.data.limits import (
    MAX_CLASSES,
    MAX_PIXELS,
    MAX_SETTABLE_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
)
from ray_defense.data.rows.label_mapping import ClassMapping, map_labels_of_rows
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.listing import FileListing, ListedFile
from ray_defense.data.sources.named_files import list_named, read_named, read_named_encoded
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import FilesDigest, files_signature
from ray_defense.data.sources.table_rows import TableColumns, TableRows, find_table, read_table_rows
from ray_defense.data.text import encodable, shortened


@dataclass(frozen=True)
class Table:
    """The images that the rows of a table name, with their labels as numbers or names.

    The first line names the columns. A column `split`, where there is one, says which rows are
    the training set and which the test set. Only regular files below the folder are read.
    """

    name: ClassVar[str] = "table"
    path: str = ""  # a .csv or .tsv file, or a folder with one
    folder: str = ""  # the paths are relative to it; empty: the folder of the table
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: the labels of the training set say it
    path_column: str = ""  # empty: the first of the usual names (see `table_rows`)
    label_column: str = ""
    split_column: str = ""
    max_pixels: int = MAX_PIXELS  # of an image before it is resized

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_in_range("max_pixels", self.max_pixels, MIN_SIDE * MIN_SIDE, MAX_SETTABLE_PIXELS)
        make_absolute(self, "path")
        make_absolute(self, "folder")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)

    def info(self) -> SourceInfo:
        mapping = self._mapping()
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        labels = self._mapping().labels_of(self._rows().labels)
        return np.take(labels, self._rows_of(split))

    def signature(self, split: SourceSplit) -> str:
        digest = FilesDigest()
        listing = self.list_files(split)
        for file in listing.files:
            digest.add(file.path, file.size, file.modified_ns)
        return digest.hexdigest() + listing.labels_state

    def list_files(self, split: SourceSplit) -> FileListing:
        return FileListing(
            self.info(),
            None,
            self._listed(self._rows_of(split)),
            labels_state=self._table_signature(),
        )

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        low = max(low, 0)
        return self.read_files(self._range(split, low, high), low, self.info())

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        return read_named(self._root(), files, low, info=info, max_pixels=self.max_pixels)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        low = max(low, 0)
        files = self._range(split, low, high)
        return read_named_encoded(self._root(), files, low, self.max_pixels)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_image(data or b"", self.size, self.max_pixels)

    def describe(self) -> SourceDescription:
        rows = self._rows()
        recognized = (
            f"{len(rows.train)} rows of the table are the training set, {len(rows.test)} the test "
            "set.",
            *self._mapping().sentences(),
        )
        return SourceDescription(recognized, rows.left_out)

    def _root(self) -> Path:
        return Path(self.folder) if self.folder else find_table(self.path).parent

    def _rows(self) -> TableRows:
        columns = TableColumns(self.path_column, self.label_column, self.split_column)
        rows = read_table_rows(find_table(self.path), columns, self._table_signature())
        if not len(rows.train):
            raise InputError(
                f"no row of the table {shortened(encodable(self.path))!r} is of the training set: "
                "give them a path and a label, and the split `train` where there is such a column"
            )
        return rows

    def _rows_of(self, split: SourceSplit) -> np.ndarray:
        return self._rows().train if split == "train" else self._rows().test

    def _table_signature(self) -> str:
        file = find_table(self.path)
        return files_signature(file.parent, [file.name])

    def _mapping(self) -> ClassMapping:
        self._rows()  # which says what is wrong with the table
        return _mapping_of(self, self._table_signature())

    def _range(self, split: SourceSplit, low: int, high: int) -> list[ListedFile]:
        """Returns the rows at positions low to high - 1 of a split."""
        return list(self._listed(self._rows_of(split)[low : max(high, low)]))

    def _listed(self, numbers: np.ndarray) -> Iterator[ListedFile]:
        """Yields the rows of some numbers with the state of their files."""
        rows = self._rows()
        labels = self._mapping().labels_of(rows.labels)
        chosen = ((rows.paths[number], int(labels[number])) for number in numbers.tolist())
        return list_named(self._root(), chosen)


@lru_cache(maxsize=8)
def _mapping_of(source: Table, signature: str) -> ClassMapping:
    """Returns the classes of a source whose table has a signature."""
    rows = source._rows()
    name = shortened(encodable(os.path.basename(source.path)))
    return map_labels_of_rows(
        rows.labels, rows.train, source.num_classes, origin=f"the table {name!r}"
    )
