"""A subset of ImageNet (Deng et al., CVPR 2009) as folders of images, one folder a class.

It has 200 classes, as in the paper and in Tiny-ImageNet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import decode_image
from ray_defense.data.limits import MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.class_folders import (
    ClassFolders,
    first_few,
    is_folder_or_link,
    list_class_names,
)
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.listing import FileListing, ListedFile
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit, make_absolute


@dataclass(frozen=True)
class ImageNet200:
    """Images in `<path>/train/<class>/**` and, for the test set, in `<path>/val/<class>/**`.

    `test/` serves where there is no `val/`, and `ClassFolders` says which files are samples. Images
    of any size become `size` x `size` pixels by `decode_image`: antialiased bilinear interpolation
    of the whole image, which does not keep its aspect ratio.

    Every method raises InputError unless there are `num_classes` class folders, the same in both
    sets.
    """

    name: ClassVar[str] = "imagenet200"
    path: str = ""  # the folder with train/ and val/
    size: int = 224  # pixels a side
    num_classes: int = 200  # class folders that must be there

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_at_least("num_classes", self.num_classes, 2)
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
        root = Path(self.path)
        return ClassFolders(root, root / "train", None).read_files(files, low, info)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        return self._folders().read_encoded(split, low, high)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_image(data or b"", self.size)

    def _folders(self) -> ClassFolders:
        root = Path(self.path)
        train = root / "train"
        if not self.path or not is_folder_or_link(train):
            raise InputError(
                f"no folder {str(train)!r}: set path to one with train/<class>/ and val/<class>/"
            )
        test = _test_folder(root)
        folders = ClassFolders(root, train, test)
        names = list_class_names(train)
        if len(names) != self.num_classes:
            raise InputError(
                f"{str(train)!r} has {len(names)} class folders ({first_few(names)}), "
                f"not {self.num_classes}: put the folders of the subset there, or set num_classes"
            )
        if test is not None:
            _check_same_classes(train, names, test)
        return folders


def _test_folder(root: Path) -> Path | None:
    for name in ("val", "test"):
        if is_folder_or_link(root / name):
            return root / name
    return None


def _check_same_classes(train: Path, train_names: tuple[str, ...], test: Path) -> None:
    test_names = list_class_names(test)
    if test_names == train_names:
        return
    num_shared = len({*test_names} & {*train_names})
    raise InputError(
        f"{str(test)!r} has {len(test_names)} class folders ({first_few(test_names)}), of which "
        f"{num_shared} are among the {len(train_names)} of {str(train)!r}: "
        "sort its images into the same class folders"
    )
