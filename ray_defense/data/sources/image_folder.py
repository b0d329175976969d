"""A folder of class folders of image files, with or without a test set beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.data.decode import decode_image
from ray_defense.data.limits import MAX_PIXELS, MAX_SETTABLE_PIXELS, MAX_SIDE, MIN_SIDE
from ray_defense.data.sources.class_folders import ClassFolders, cannot_list
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.folder_description import describe_folders
from ray_defense.data.sources.folder_layout import ClassDepth, FolderLayout, Layout, find_layout
from ray_defense.data.sources.followed_links import followed_links
from ray_defense.data.sources.listing import FileListing, ListedFile
from ray_defense.data.sources.other_forms import check_class_folders
from ray_defense.data.sources.protocol import (
    Batch,
    SourceDescription,
    SourceInfo,
    SourceSplit,
    make_absolute,
)
from ray_defense.data.text import encodable, shortened


@dataclass(frozen=True)
class ImageFolder:
    """Images in `<path>/{train,test}/<class>/**`, or a training set alone in `<path>/<class>/**`.

    `find_layout` says how the folders are understood, `ClassFolders` which files are samples.
    """

    name: ClassVar[str] = "image_folder"
    path: str = ""  # the folder
    size: int = 32  # pixels a side
    layout: Layout = "auto"  # whether the folders in it are splits or classes
    classes: ClassDepth = (
        "auto"  # whether all folders that hold images are classes, or the top ones
    )
    follow_links_below: str = ""  # links to what lies below this folder are read; empty: none is
    max_pixels: int = MAX_PIXELS  # of an image before it is resized

    def __post_init__(self) -> None:
        check_in_range("size", self.size, MIN_SIDE, MAX_SIDE)
        check_in_range("max_pixels", self.max_pixels, MIN_SIDE * MIN_SIDE, MAX_SETTABLE_PIXELS)
        make_absolute(self, "path")
        make_absolute(self, "follow_links_below")

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
        folders = self._class_folders(FolderLayout(root, None, leaves=False, unused=()))
        return folders.read_files(files, low, info)

    def describe(self) -> SourceDescription:
        layout = self._layout()
        return describe_folders(self._class_folders(layout), layout.unused)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        return self._folders().read_encoded(split, low, high)

    def decode(self, data: bytes | None) -> np.ndarray:
        return decode_image(data or b"", self.size, self.max_pixels)

    def _folders(self) -> ClassFolders:
        return self._class_folders(self._layout())

    def _layout(self) -> FolderLayout:
        root = Path(self.path)
        if self.follow_links_below and not Path(self.follow_links_below).is_dir():
            folder = shortened(encodable(self.follow_links_below))
            raise InputError(f"no folder {folder!r}: set follow_links_below to one")
        if self.path:
            try:
                check_class_folders(root)
            except OSError as error:
                raise cannot_list(error) from None
        if not self.path or not root.is_dir():
            raise InputError(
                f"no folder {self.path!r}: set path to one with class folders, or train/ and test/"
            )
        links = followed_links(self.follow_links_below)
        layout = find_layout(root, self.layout, self.classes, links)
        self._class_folders(layout).check_test_classes()
        return layout

    def _class_folders(self, layout: FolderLayout) -> ClassFolders:
        return ClassFolders(
            Path(self.path),
            layout.train,
            layout.test,
            leaves=layout.leaves,
            links=followed_links(self.follow_links_below),
            max_pixels=self.max_pixels,
        )
