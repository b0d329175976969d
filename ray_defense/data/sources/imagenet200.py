"""A subset of ImageNet (Deng et al., CVPR 2009) as image folders: 200 classes, as the paper and Tiny-ImageNet take."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused
from ray_defense.data.shards.beton import MAX_SIDE
from ray_defense.data.sources.class_folders import ClassFolders, class_names, there
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split, make_absolute


@dataclass(frozen=True)
class ImageNet200:
    """`<path>/train/<class>/**` and, for the test set, `<path>/val/<class>/**` (or `test/`); see `ClassFolders`.

    Images of any size become `size` x `size` as `decode_image` has it: antialiased bilinear, the whole image, so that
    the aspect ratio is not kept. Refused unless there are `num_classes` class folders, the same in both sets.
    """

    name: ClassVar[str] = "imagenet200"
    path: str = ""  # the folder with train/ and val/
    size: int = 224  # pixels a side
    num_classes: int = 200  # class folders that must be there

    def __post_init__(self) -> None:
        in_range("size", self.size, 8, MAX_SIDE)
        at_least("num_classes", self.num_classes, 2)
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
        if not self.path or not there(root / "train"):
            raise Refused(f"no folder {str(root / 'train')!r}: set path to one with train/<class>/ and val/<class>/")
        test = next((root / name for name in ("val", "test") if there(root / name)), None)
        folders = ClassFolders(root, root / "train", test)
        names = class_names(folders.train)
        if len(names) != self.num_classes:
            raise Refused(
                f"{str(folders.train)!r} has {len(names)} class folders ({_some(names)}), not {self.num_classes}: "
                "put those of the subset there, or set num_classes"
            )
        if test and (others := class_names(test)) != names:
            raise Refused(
                f"{str(test)!r} has {len(others)} class folders ({_some(others)}), of which {len({*others} & {*names})} are "
                f"among the {len(names)} of {str(folders.train)!r}: sort its images into the same class folders"
            )
        return folders


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
