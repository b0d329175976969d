"""A folder of class folders of image files, with or without a test set beside them."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import decode_image
from ray_defense.data.limits import MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.class_folders import (
    ClassFolders,
    belongs_to_tool,
    cannot_list,
    is_folder_or_link,
)
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.listing import FileListing, ListedFile
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit, make_absolute
from ray_defense.data.text import encodable, shortened

# Beside train/, what other programs read and we do not; test/ is read.
_SPLITS = ("train", "test", "val", "valid", "validation")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm")
_NUM_LOOKED_AT = 1000  # entries below a folder, to tell whether it holds images


@dataclass(frozen=True)
class ImageFolder:
    """Images in `<path>/{train,test}/<class>/**`, or a training set alone in `<path>/<class>/**`.

    `ClassFolders` says which files are samples.
    """

    name: ClassVar[str] = "image_folder"
    path: str = ""  # the folder
    size: int = 32  # pixels a side

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        make_absolute(self, "path")

    def info(self) -> SourceInfo:
        return self._folders().info(self.size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        return self._folders().labels(split)

    def signature(self, split: SourceSplit) -> str:
        return self._folders().signature(split)

    def read(self, split: SourceSplit, low: int, high: int) -> Batch:
        return self._folders().read(split, low, high, size=self.size)

    def list_files(self, split: SourceSplit) -> FileListing | None:
        return self._folders().list_files(split, self.size)

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        # The paths are relative to the root; which folders hold the classes does not matter here.
        root = Path(self.path)
        return ClassFolders(root, root, None).read_files(files, low, info)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        return self._folders().read_encoded(split, low, high)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_image(data or b"", self.size)

    def _folders(self) -> ClassFolders:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise InputError(
                f"no folder {self.path!r}: set path to one with class folders, or train/ and test/"
            )
        has_train = is_folder_or_link(root / "train")
        has_test = is_folder_or_link(root / "test")
        if has_test and not has_train:
            raise InputError(
                f"{self.path!r} has a test/ but no train/: put the training class folders in train/"
            )
        if has_train:
            _check_nothing_left_out(root)
        train = root / "train" if has_train else root
        test = root / "test" if has_test else None
        return ClassFolders(root, train, test)


def _check_nothing_left_out(root: Path) -> None:
    """Raises InputError if images lie beside train/ that no split would read.

    They may be classes, of which one is called "train".
    """
    left_out = []
    try:
        with os.scandir(root) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                is_split = entry.name.lower() in _SPLITS
                if is_split or belongs_to_tool(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False) and _holds_images(entry.path):
                    left_out.append(entry.name)
    except OSError as error:
        raise cannot_list(error) from None
    if left_out:
        names = ", ".join(repr(shortened(encodable(name), 40)) for name in left_out[:3])
        if len(left_out) > 3:
            names += f" and {len(left_out) - 3} more"
        raise InputError(
            f"{str(root)!r} has train/ and beside it images in {names}, which would be left out: "
            "move the class folders into train/, or the others away"
        )


def _holds_images(folder: str) -> bool:
    """Returns whether one of the first entries below a folder is called like an image."""
    folders = [folder]
    num_left = _NUM_LOOKED_AT
    while folders and num_left:
        with os.scandir(folders.pop()) as entries:
            for entry in itertools.islice(entries, num_left):
                num_left -= 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.lower().endswith(_IMAGE_ENDINGS):
                    return True
    return False
