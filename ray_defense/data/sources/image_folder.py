"""A folder of class folders of image files, with or without a test set beside them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.class_folders import ClassFolders, is_folder_or_link
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit, make_absolute


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
        train = root / "train" if has_train else root
        test = root / "test" if has_test else None
        return ClassFolders(root, train, test)
