"""Files whose rows are labeled images: what the sources of Parquet and of Arrow files share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodedImage, DecodeError, decode_recorded
from ray_defense.data.limits import (
    MAX_CLASSES,
    MAX_PIXELS,
    MAX_SETTABLE_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
)
from ray_defense.data.rows.label_mapping import (
    ClassMapping,
    GivenLabels,
    known_classes,
    map_labels,
)
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.listing import FileListing, ListedFile, source_changed
from ray_defense.data.sources.named_files import list_named, read_named, read_named_encoded
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import FilesDigest, files_signature
from ray_defense.data.sources.split_files import SplitFiles
from ray_defense.data.text import encodable, shortened

if TYPE_CHECKING:
    import pyarrow as pa

    from ray_defense.data.rows.image_rows import FileDescription, RowPart
    from ray_defense.data.rows.parquet_schema import ColumnNames, ImageColumns


class RowReader(Protocol):
    """How the rows of one format are read: `parquet_rows` and `arrow_rows` are two."""

    def describe_file(self, file: Path, names: "ColumnNames") -> "FileDescription":
        """Returns what a file says of itself."""

    def read_labels(
        self, files: Sequence[Path], names: "ColumnNames", limit: int | None
    ) -> GivenLabels:
        """Returns the labels of the first rows of files one after another."""

    def stream_rows(
        self, files: Sequence[Path], names: "ColumnNames", reads: "RowPart"
    ) -> "Iterator[tuple[pa.RecordBatch, ImageColumns]]":
        """Yields rows of files one after another, with the columns that they have."""

    def stream_samples(
        self,
        files: Sequence[Path],
        names: "ColumnNames",
        mapping: ClassMapping,
        *,
        low: int,
        high: int,
    ) -> Iterator[UndecodedSample[bytes | None]]:
        """Yields the rows low to high - 1 of files one after another."""


@dataclass(frozen=True)
class RowFiles:
    """Images and labels in two columns of files; other columns are not read.

    An image is bytes, or Hugging Face's struct with a field `bytes`. Where no row of a split has
    bytes, it is the path of a regular file below a folder: a text, or the field `path` of the
    struct. A label is a number or a name.

    Without `num_classes`, the names in the metadata of the schema give the classes (see
    `class_names_of`), and without those the labels of the training set do (see `map_labels`).
    A subclass says which files there are, and who reads them.
    """

    path: str = ""
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: see above
    limit: int | None = None  # training samples, the first of the source; None: all
    image_column: str = ""  # empty: the first of the usual names (see `column_names`)
    label_column: str = ""
    max_pixels: int = MAX_PIXELS  # of an image before it is resized
    folder: str = ""  # paths are relative to it; empty: the folder of the files

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_in_range("max_pixels", self.max_pixels, MIN_SIDE * MIN_SIDE, MAX_SETTABLE_PIXELS)
        make_absolute(self, "path")
        make_absolute(self, "folder")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)
        if self.limit is not None:
            check_at_least("limit", self.limit, 1)

    def files(self) -> SplitFiles:
        """Returns the files of both splits."""
        raise NotImplementedError

    def row_reader(self) -> RowReader:
        """Returns who reads their rows."""
        raise NotImplementedError

    def class_names_beside(self, file: Path) -> tuple[str, ...]:
        """Returns the class names that stand beside a file whose schema has none, or ()."""
        return ()

    def info(self) -> SourceInfo:
        mapping = self._mapping()
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        files = self.files().paths(split)
        limit = self.limit if split == "train" else None
        given = self.row_reader().read_labels(files, self.column_names(), limit)
        return self._mapping().labels_of(given)

    def rows_signature(self, split: SourceSplit) -> str:
        """Returns what changes with the files of rows, though not with image files they name."""
        found = self.files()
        files = found.train if split == "train" else found.test
        return files_signature(found.root, files) if files else ""

    def signature(self, split: SourceSplit) -> str:
        rows_signature = self.rows_signature(split)
        if not self._is_listed(split):
            return rows_signature
        digest = FilesDigest()
        for file in self._listed(split):
            digest.add(file.path, file.size, file.modified_ns)
        return digest.hexdigest() + rows_signature

    def list_files(self, split: SourceSplit) -> FileListing | None:
        if not self._is_listed(split):
            return None
        rows_signature = self.rows_signature(split)
        return FileListing(self.info(), None, self._listed(split), labels_state=rows_signature)

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        return read_named(self._root(), files, low, info=info, max_pixels=self.max_pixels)

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        if self._names_files(split):
            low = max(low, 0)
            return self.read_files(list(self._listed(split, low, high)), low, self.info())
        return collect_batch(self.read_encoded(split, low, high), self.info(), self._decode_row)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        if self._names_files(split):
            low = max(low, 0)
            files = self._listed(split, low, high)
            yield from read_named_encoded(self._root(), files, low, self.max_pixels)
            return
        if split == "train" and self.limit is not None:
            high = min(high, self.limit)
        yield from self.row_reader().stream_samples(
            self.files().paths(split),
            self.column_names(),
            self._mapping(),
            low=max(low, 0),
            high=high,
        )

    def describe(self) -> SourceDescription:
        found = self.files()
        recognized = [*found.recognized, *self._mapping().sentences()]
        if self._names_files("train"):
            recognized.append(
                "The images are files that the rows name, below "
                f"{shortened(encodable(str(self._root())))!r}."
            )
        return SourceDescription(tuple(recognized), found.left_out)

    def decode(self, data: bytes | None) -> np.ndarray:
        return self._decode_row(data).pixels

    def column_names(self) -> "ColumnNames":
        """Returns the columns that the user names."""
        from ray_defense.data.rows.parquet_schema import ColumnNames

        return ColumnNames(self.image_column, self.label_column)

    def _decode_row(self, data: bytes | None) -> DecodedImage:
        if data is None:
            raise DecodeError("no image bytes in the row")
        return decode_recorded(data, self.size, self.max_pixels)

    def _mapping(self) -> ClassMapping:
        return _mapping_of(self, self.rows_signature("train"))

    def _names_files(self, split: SourceSplit) -> bool:
        """Returns whether the rows of a split name image files, and hold none."""
        return _names_files(self, split, self.rows_signature(split))

    def _is_listed(self, split: SourceSplit) -> bool:
        """Returns whether a split has image files to list; one that cannot be read has none.

        Reading it says what is wrong, and a step that does not read it goes on.
        """
        try:
            return self._names_files(split)
        except InputError:
            return False

    def _root(self) -> Path:
        return Path(self.folder) if self.folder else self.files().root

    def _listed(
        self, split: SourceSplit, low: int = 0, high: int | None = None
    ) -> Iterator[ListedFile]:
        """Yields the rows low to high - 1 of a split with the state of the files that they name."""
        rows = _named_rows(self, split, self.rows_signature(split))
        if high is not None:
            rows = rows[low : max(high, low)]
        return list_named(self._root(), rows)


@lru_cache(maxsize=8)  # reading the labels of a large set takes seconds, and every range needs it
def _mapping_of(source: RowFiles, signature: str) -> ClassMapping:
    """Returns the classes of a source whose training files have a signature."""
    files = source.files().paths("train")
    names = source.column_names()
    described = source.row_reader().describe_file(files[0], names)
    class_names = described.class_names or source.class_names_beside(files[0])
    num_classes = source.num_classes or len(class_names)
    if num_classes and not described.columns.has_text_labels:
        return known_classes(class_names, num_classes)
    given = source.row_reader().read_labels(files, names, source.limit)
    return map_labels(given, (), source.num_classes, origin=repr(str(files[0])))


@lru_cache(maxsize=8)
def _names_files(source: RowFiles, split: SourceSplit, signature: str) -> bool:
    """Returns whether the rows of a split with a signature name image files, and hold none."""
    files = source.files().paths(split)
    names = source.column_names()
    reader = source.row_reader()
    described = [reader.describe_file(file, names).columns for file in files]
    with_bytes = [columns.bytes_path is not None for columns in described]
    if files and not any(with_bytes):
        return True
    if not all(with_bytes):
        raise InputError(
            f"the images of {str(files[with_bytes.index(False)])!r} are paths of files, and those "
            f"of {str(files[with_bytes.index(True)])!r} are bytes: write one again"
        )
    if not files or any(columns.origin_path is None for columns in described):
        return False
    from ray_defense.data.rows.image_rows import has_bytes

    return not has_bytes(reader.stream_rows(files, names, "bytes"))


@lru_cache(maxsize=2)  # a million rows take seconds, and every range needs them
def _named_rows(
    source: RowFiles, split: SourceSplit, signature: str
) -> tuple[tuple[str, int], ...]:
    """Returns the path and the label of each row of a split with a signature."""
    from ray_defense.data.rows.image_rows import read_paths

    files = source.files().paths(split)
    limit = source.limit if split == "train" else None
    rows = source.row_reader().stream_rows(files, source.column_names(), "paths")
    paths = read_paths(rows, limit, f"{str(files[0])!r}" if files else "the table")
    labels = source.labels(split).tolist()
    if len(paths) != len(labels) or source.rows_signature(split) != signature:
        raise source_changed(files[0])
    return tuple(zip(paths, labels, strict=True))
