"""FFCV's .beton files of a user, read without FFCV after a check of every number in them."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodedImage, DecodeError, decode_recorded, open_image
from ray_defense.data.limits import MAX_CLASSES, MAX_SIDE, MIN_SIDE
from ray_defense.data.rows.label_mapping import ClassMapping, GivenLabels, map_labels
from ray_defense.data.sources.array_images import PixelLayout, to_rgb
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.listing import source_changed
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.sources.split_files import SplitFiles, find_split_files
from ray_defense.data.text import shortened

if TYPE_CHECKING:
    from ray_defense.data.shards.beton import CheckedBeton

_PIXELS = PixelLayout("NHWC", 1.0)


@dataclass(frozen=True)
class Beton:
    """Images and whole-number labels in the fields `image` and `label` of .beton files.

    Images are raw pixels or JPEG, of any sizes. `find_split_files` says which files of a folder are
    read. The classes are the labels of the training set (see `map_labels`).
    """

    name: ClassVar[str] = "beton"
    path: str = ""  # a file (training set alone), or a folder of files whose names say the split
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: the labels of the training set say it

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)

    def info(self) -> SourceInfo:
        mapping = self._mapping()
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        return self._mapping().labels_of(_given_labels(self._files().paths(split)))

    def signature(self, split: SourceSplit) -> str:
        found = self._files()
        files = found.train if split == "train" else found.test
        return files_signature(found.root, files) if files else ""

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        return collect_batch(self._stored(split, low, high), self.info(), self._decode_stored)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        for sample in self._stored(split, low, high):
            content = sample.content
            data = content.data if content.pixels is None else _encoded(content.pixels)
            yield UndecodedSample(sample.index, sample.origin, sample.label, data)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_recorded(data or b"", self.size).pixels

    def describe(self) -> SourceDescription:
        found = self._files()
        recognized = (*found.recognized, *self._mapping().sentences())
        return SourceDescription(recognized, found.left_out)

    def _files(self) -> SplitFiles:
        return find_split_files(self.path, (".beton",))

    def _mapping(self) -> ClassMapping:
        return _mapping_of(self, self.signature("train"))

    def _stored(
        self, split: SourceSplit, low: int, high: int
    ) -> "Iterator[UndecodedSample[_StoredImage]]":
        """Yields the images at positions low to high - 1 as they lie in the files."""
        mapping = self._mapping()
        start = 0
        for file in self._files().paths(split):
            checked = _checked_file(file, _state_of(os.stat(file)))
            first = max(low - start, 0)
            end = min(high - start, len(checked.beton))
            if first < end:
                given = GivenLabels(checked.beton.labels[first:end])
                labels = mapping.labels_of(given).tolist()
                with open(file, "rb") as opened:
                    for row in range(first, end):
                        image = checked.read(opened, row)
                        index = start + row
                        yield UndecodedSample(index, f"row {index}", labels[row - first], image)
            start += len(checked.beton)

    def _decode_stored(self, image: "_StoredImage") -> np.ndarray | DecodedImage:
        if min(image.height, image.width) < MIN_SIDE:
            raise DecodeError(f"an image of {image.width}x{image.height} pixels, under {MIN_SIDE}")
        if image.pixels is not None:
            return to_rgb(image.pixels, _PIXELS, self.size)
        with open_image(image.data, ("JPEG",)) as opened:
            if opened.size != (image.width, image.height):
                raise DecodeError(
                    f"a JPEG of {opened.width}x{opened.height} pixels, which its file says has "
                    f"{image.width}x{image.height}"
                )
        return decode_recorded(image.data, self.size)


@dataclass(frozen=True, eq=False)
class _StoredImage:
    """An image as it lies in a file: a JPEG, or pixels."""

    height: int
    width: int
    data: bytes
    pixels: np.ndarray | None  # uint8 [height, width, 3]; None for a JPEG


@dataclass(frozen=True, eq=False)
class _CheckedFile:
    """A file that has been checked, and its state then."""

    beton: "CheckedBeton"
    state: tuple[int, ...]

    def read(self, opened: io.BufferedReader, row: int) -> _StoredImage:
        """Returns the image of a row.

        Raises:
            RunError: If the file is not as it was when it was checked.
        """
        from ray_defense.data.shards.beton import RAW

        image = self.beton.samples["image"][row]
        height = int(image["height"])
        width = int(image["width"])
        opened.seek(int(image["offset"]))
        data = opened.read(int(self.beton.sizes[row]))
        if _state_of(os.fstat(opened.fileno())) != self.state:
            raise source_changed(self.beton.path)
        pixels = None
        if int(image["mode"]) == RAW:
            pixels = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        return _StoredImage(height, width, data, pixels)


@lru_cache(maxsize=64)  # checking a large file takes a second, and every range needs it
def _checked_file(file: Path, state: tuple[int, ...]) -> _CheckedFile:
    """Returns a file that has a state, checked."""
    from ray_defense.data.shards.beton import CheckedBeton

    checked = _CheckedFile(CheckedBeton(file), state)
    if _state_of(os.stat(file)) != state:
        raise source_changed(file)
    return checked


def _state_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _given_labels(files: Sequence[Path]) -> GivenLabels:
    parts = [np.zeros(0, np.int64)]
    parts += [_checked_file(file, _state_of(os.stat(file))).beton.labels for file in files]
    return GivenLabels(np.concatenate(parts))


@lru_cache(maxsize=8)
def _mapping_of(source: Beton, signature: str) -> ClassMapping:
    """Returns the classes of a source whose training files have a signature."""
    files = source._files().paths("train")
    given = _given_labels(files)
    if not (given.numbers >= 0).any():
        raise InputError(
            f"no image of {shortened(str(files[0]))!r} has a label that is not negative: write "
            "the labels of the classes"
        )
    return map_labels(given, (), source.num_classes, origin=repr(str(files[0])))


def _encoded(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
