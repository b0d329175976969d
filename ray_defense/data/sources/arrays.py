"""NumPy files of images and labels: an .npz file, or a folder of .npy files."""

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASSES, MAX_SIDE, MIN_SIDE
from ray_defense.data.rows.column_names import choose_column
from ray_defense.data.rows.label_mapping import (
    ClassMapping,
    GivenLabels,
    TextCodes,
    map_labels,
    whole_numbers,
)
from ray_defense.data.sources.array_files import StoredArray, array_names, find_arrays
from ray_defense.data.sources.array_images import PixelLayout, check_axes, to_rgb, value_scale
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.text import encodable, shortened

ENDINGS = (".npz", ".npy")
IMAGE_ARRAYS = (
    *("x_train", "train_images", "train_x", "images_train", "images", "x", "data", "image"),
    "arr_0",
)
LABEL_ARRAYS = (
    *("y_train", "train_labels", "train_y", "labels_train", "labels", "y", "targets", "target"),
    *("label", "arr_1"),
)
_MAX_LABEL_BYTES = 2**28
_ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class Arrays:
    """Images and labels in arrays without objects, gray or RGB, with values 0 to 255 or 0 to 1.

    The test set is the arrays of the same names with `test` or `val` in place of `train`.
    """

    name: ClassVar[str] = "arrays"
    path: str = ""  # an .npz file, or a folder of .npy files
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: the labels of the training set say it
    image_array: str = ""  # its name; empty: the first of the usual names
    label_array: str = ""

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")
        if self.num_classes is not None:
            check_in_range("num_classes", self.num_classes, 1, MAX_CLASSES)

    def info(self) -> SourceInfo:
        mapping = self._set().mapping
        return SourceInfo(len(mapping.class_names), mapping.class_names, self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        return self._set().labels_of(split).copy()

    def signature(self, split: SourceSplit) -> str:
        root = Path(self.path)
        if self.path and root.is_dir():
            return files_signature(root, array_names(root))
        if not self.path or not root.is_file():
            raise InputError(
                f"no file {shortened(encodable(self.path))!r}: set path to an .npz file, or to a "
                "folder of .npy files"
            )
        return files_signature(root.parent, [root.name])

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        arrays = self._set()
        labels = arrays.labels_of(split)
        images = arrays.test_images if split == "test" else arrays.images
        low = max(low, 0)
        high = min(high, len(labels))
        samples = []
        if images is not None and low < high:
            rows = images.rows(low, high)
            for index in range(low, high):
                label = int(labels[index])
                samples.append(UndecodedSample(index, f"row {index}", label, rows[index - low]))
        return collect_batch(
            samples, self.info(), lambda image: to_rgb(image, arrays.layout, self.size)
        )

    def describe(self) -> SourceDescription:
        arrays = self._set()
        shape = "x".join(str(length) for length in arrays.images.header.shape[1:])
        sentence = f"{arrays.images.num_rows} images of {shape} are the training set."
        if arrays.test_images is not None:
            sentence += f" {arrays.test_images.num_rows} are the test set."
        left_out: tuple[str, ...] = ()
        if arrays.unread:
            shown = ", ".join(repr(shortened(encodable(name), 40)) for name in arrays.unread[:5])
            left_out = (f"These arrays are not read: {shown}.",)
        return SourceDescription((sentence, *arrays.mapping.sentences()), left_out)

    def _set(self) -> "_ArraySet":
        return _array_set(
            self.path, self.num_classes, self.image_array, self.label_array, self.signature("train")
        )


@dataclass(frozen=True, eq=False)
class _ArraySet:
    """The arrays of both splits."""

    images: StoredArray
    labels: np.ndarray  # int64 [N]
    test_images: StoredArray | None
    test_labels: np.ndarray
    layout: PixelLayout
    mapping: ClassMapping
    unread: list[str]

    def labels_of(self, split: SourceSplit) -> np.ndarray:
        """Returns the labels of a split, int64 [N]."""
        return self.test_labels if split == "test" else self.labels


@lru_cache(maxsize=4)  # labels and the range of values are read once
def _array_set(
    path: str, num_classes: int | None, images_name: str, labels_name: str, signature: str
) -> _ArraySet:
    """Returns the arrays at a path whose files have a signature."""
    arrays = find_arrays(path, signature)
    origin = f"the arrays of {shortened(encodable(os.path.basename(path)))!r}"
    lower = [name.lower() for name in arrays]
    array_of = {name.lower(): array for name, array in arrays.items()}
    chosen = choose_column(
        lower, images_name.lower(), IMAGE_ARRAYS, option="image_array", origin=origin
    )
    labels_chosen = choose_column(
        lower, labels_name.lower(), LABEL_ARRAYS, option="label_array", origin=origin
    )
    images = array_of[chosen]
    given = _given_labels(array_of[labels_chosen], images)
    axes = check_axes(images.header.shape, repr(images.name))
    mapping = map_labels(given, (), num_classes, origin=origin)
    used = {chosen, labels_chosen}
    test_images = None
    test_labels = np.zeros(0, np.int64)
    for word in ("test", "val", "valid"):
        test_name = _test_name(chosen, word)
        test_labels_name = _test_name(labels_chosen, word)
        if test_name in array_of and test_labels_name in array_of:
            test_images = array_of[test_name]
            if check_axes(test_images.header.shape, repr(test_images.name)) != axes:
                raise InputError(
                    f"{origin}: {test_images.name!r} has the shape {test_images.header.shape}, and "
                    f"{images.name!r} {images.header.shape}: reshape one"
                )
            test_labels = mapping.labels_of(_given_labels(array_of[test_labels_name], test_images))
            used |= {test_name, test_labels_name}
            break
    return _ArraySet(
        images,
        mapping.labels_of(given),
        test_images,
        test_labels=test_labels,
        layout=PixelLayout(axes, _scale_of(images)),
        mapping=mapping,
        unread=[name for name in arrays if name.lower() not in used],
    )


def _test_name(name: str, word: str) -> str:
    return name.replace("train", word) if "train" in name else f"{word}_{name}"


def _given_labels(labels: StoredArray, images: StoredArray) -> GivenLabels:
    shape = labels.header.shape
    if len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]
    if shape != images.header.shape[:1] or labels.header.num_bytes > _MAX_LABEL_BYTES:
        raise InputError(
            f"the array {labels.name!r} has the shape {shape}, and there are {images.num_rows} "
            "images: save one label for each (of one-hot labels, argmax(axis=1))"
        )
    values = labels.rows(0, labels.num_rows).reshape(-1)
    if values.dtype.kind not in "US":
        with np.errstate(invalid="ignore"):  # of NaNs
            return GivenLabels(whole_numbers(values.astype(np.float64)))
    if values.dtype.kind == "U" and int(_code_points(values).max(initial=0)) > sys.maxunicode:
        raise InputError(
            f"the array {labels.name!r} holds texts that are no Unicode: save its names again"
        )
    codes = TextCodes(f"the array {labels.name!r}")
    numbers = []
    for value in values.tolist():
        text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        numbers.append(codes.code(text))
    return GivenLabels(np.array(numbers, np.int64), codes.texts())


def _code_points(texts: np.ndarray) -> np.ndarray:
    """Returns the characters of texts as numbers, which Python would take whatever they are."""
    numbers = np.dtype(np.uint32).newbyteorder(texts.dtype.byteorder)
    code_points: np.ndarray = np.ascontiguousarray(texts).view(numbers)
    return code_points


def _scale_of(images: StoredArray) -> float:
    """Returns what the values of the images are multiplied by, to lie in 0..255."""
    name = repr(images.name)
    kind = images.header.dtype.kind
    if kind not in "biuf":
        raise InputError(f"the array {name} holds texts, and not pixels: name the images")
    if kind == "b":
        return 255.0
    if kind != "f":
        return 1.0
    num_values = 0
    num_above_1 = 0
    num_negative = 0
    for low in range(0, images.num_rows, _ROWS_AT_A_TIME):
        rows = images.rows(low, low + _ROWS_AT_A_TIME)
        num_values += rows.size
        with np.errstate(invalid="ignore"):  # of NaNs
            num_above_1 += int(np.count_nonzero(rows > 1))
            num_negative += int(np.count_nonzero(rows < 0))
    return value_scale(num_values, num_above_1, num_negative, name=name)
