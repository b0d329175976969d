"""Parquet files of encoded images and labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError, decode_image
from ray_defense.data.limits import MAX_CLASSES, MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit, make_absolute
from ray_defense.data.sources.signature import files_signature


@dataclass(frozen=True)
class Parquet:
    """Images in the column `image` and labels in the column `label`; others are not read.

    An image is bytes, or Hugging Face's struct with a field `bytes`; a label is a number.

    Without `num_classes`, the names in the schema's metadata under `classes` (a JSON list, or
    separated by commas) give the number of classes, and without those the largest training label
    plus one does.
    """

    name: ClassVar[str] = "parquet"
    path: str = ""  # a file (training set alone), or a folder with {train,test}.parquet
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: see above
    limit: int | None = None  # training samples, the first of the source; None: all

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)
        if self.limit is not None:
            check_at_least("limit", self.limit, 1)

    def info(self) -> SourceInfo:
        from ray_defense.data.sources.parquet_rows import read_class_names

        file = self._train_file()
        names = read_class_names(file)
        num_classes = self.num_classes or len(names) or self._infer_num_classes(file)
        if len(names) != num_classes:
            names = tuple(str(label) for label in range(num_classes))
        return SourceInfo(num_classes, names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        from ray_defense.data.sources.parquet_rows import read_labels

        file = self._file(split)
        if file is None:
            return np.zeros(0, dtype=np.int64)
        return read_labels(file, self.limit if split == "train" else None)

    def signature(self, split: SourceSplit) -> str:
        file = self._file(split)
        return "" if file is None else files_signature(file.parent, [file.name])

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        return collect_batch(self.read_encoded(split, low, high), self.info(), self.decode)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        from ray_defense.data.sources.parquet_rows import stream_samples

        file = self._file(split)
        if split == "train" and self.limit is not None:
            high = min(high, self.limit)
        if file is not None:
            yield from stream_samples(file, max(low, 0), high)

    def decode(self, data: bytes | None) -> np.ndarray:
        if data is None:
            raise DecodeError("no image bytes in the row")
        return decode_image(data, self.size)

    def _train_file(self) -> Path:
        path = Path(self.path)
        if self.path and path.is_dir():
            path = path / "train.parquet"
        return self._checked_file(path)

    def _file(self, split: SourceSplit) -> Path | None:
        """Returns the file of a split; None if it is the test split and there is none."""
        if split == "train":
            return self._train_file()
        folder = Path(self.path)
        file = folder / "test.parquet"
        if not self.path or not folder.is_dir() or not file.exists():
            return None
        return self._checked_file(file)

    def _checked_file(self, path: Path) -> Path:
        if not self.path or not path.is_file():
            raise InputError(
                f"no file {str(path)!r}: "
                "set the source's path to a file or a folder with train.parquet"
            )
        return path

    def _infer_num_classes(self, file: Path) -> int:
        labels = self.labels("train")
        largest = int(labels.max(initial=-1))
        num_labels = len(np.unique(labels[labels >= 0]))
        # One hostile label must not make a thousand classes.
        if not 1 <= largest + 1 <= min(2 * num_labels, MAX_CLASSES):
            raise InputError(
                f"largest label {largest} in the {len(labels)} rows of {str(file)!r}: "
                "set num_classes"
            )
        return largest + 1
