"""A folder of class folders of image files, with or without a test set beside them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.data.shards.beton import MAX_SIDE
from ray_defense.data.sources.class_folders import ClassFolders, there
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split, make_absolute


@dataclass(frozen=True)
class ImageFolder:
    """`<path>/{train,test}/<class>/**`, or `<path>/<class>/**` for a training set alone; see `ClassFolders`."""

    name: ClassVar[str] = "image_folder"
    path: str = ""  # the folder
    size: int = 32  # pixels a side

    def __post_init__(self) -> None:
        in_range("size", self.size, 8, MAX_SIDE)
        make_absolute(self, "path")

    def info(self) -> SourceInfo:
        return self._folders().info(self.size)

    def labels(self, split: Split) -> np.ndarray:
        return self._folders().labels(split)

    def signature(self, split: Split) -> str:
        return self._folders().signature(split)

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        return self._folders().read(split, lo, hi, self.size)

    def _folders(self) -> ClassFolders:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise Refused(f"no folder {self.path!r}: set path to one with class folders, or train/ and test/")
        train, test = (root / split if there(root / split) else None for split in ("train", "test"))
        if test and not train:
            raise Refused(f"{self.path!r} has a test/ but no train/: put the training class folders in train/")
        return ClassFolders(root, train or root, test)
