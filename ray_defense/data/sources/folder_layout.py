"""Finds out which folders below a root are splits, which are classes, and how deep classes lie.

Names decide, in any case: `train` or `training`; `test` or `testing`, else `val`, `valid` or
`validation`. Where they allow two readings, neither is guessed: the user says which is meant.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from ray_defense.core.errors import InputError
from ray_defense.data.sources.class_folders import (
    entries_but_junk,
    folders_with_images,
    sorted_entries,
)
from ray_defense.data.sources.followed_links import FollowedLinks, check_followed
from ray_defense.data.sources.image_names import holds_images, is_image_name
from ray_defense.data.text import encodable, shortened

Layout = Literal["auto", "splits", "classes"]
ClassDepth = Literal["auto", "top", "leaf"]

_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_VALIDATION = ("val", "valid", "validation")


@dataclass(frozen=True)
class FolderLayout:
    """What the folders below a root are."""

    train: Path
    test: Path | None
    leaves: bool  # each folder that holds images is a class, at any depth
    unused: tuple[str, ...]  # sentences on folders that no split reads


@dataclass(frozen=True)
class _Folder:
    """A folder of the first level, or a link to one."""

    name: str
    path: str

    @cached_property
    def has_folders(self) -> bool:
        """Whether folders lie in it."""
        return any(entry.is_dir() for entry in entries_but_junk(self.path))

    @cached_property
    def has_images(self) -> bool:
        """Whether images lie directly in it."""
        entries = entries_but_junk(self.path)
        return any(is_image_name(entry.name) and not entry.is_dir() for entry in entries)

    @property
    def is_flat(self) -> bool:
        """Whether images lie in it as in the folder of a class."""
        return self.has_images and not self.has_folders


def find_layout(
    root: Path, layout: Layout, depth: ClassDepth, links: FollowedLinks | None
) -> FolderLayout:
    """Returns what the folders below a root are.

    Args:
        root: The folder of a dataset.
        layout: "splits" and "classes" settle what the folders of the first level are.
        depth: "top" and "leaf" settle which folders are classes.
        links: The links that are followed.

    Raises:
        InputError: If they may be read in two ways, or in none.
    """
    folders = _folders_in(str(root))
    splits = _find_splits(root, layout, folders, links)
    if splits is None:
        if layout == depth == "auto" and len(folders) == 1:
            _check_no_wrapper(root, folders[0])
        splits = FolderLayout(root, None, leaves=False, unused=_said_classes(folders))
    return FolderLayout(
        splits.train,
        splits.test,
        leaves=_are_leaves(splits.train, depth),
        unused=splits.unused,
    )


def _find_splits(
    root: Path, layout: Layout, folders: Sequence[_Folder], links: FollowedLinks | None
) -> FolderLayout | None:
    """Returns the folders of the splits, or None if those of the first level are classes."""
    if layout == "classes":
        return None
    train = _only_one_of(folders, _TRAIN)
    test = _only_one_of(folders, _TEST)
    validation = _only_one_of(folders, _VALIDATION)
    named = [folder for folder in (train, test, validation) if folder is not None]
    if not named:
        if layout == "splits":
            raise InputError(f"{str(root)!r} has no train/: put the training class folders there")
        return None
    for folder in named:
        if os.path.islink(folder.path):
            check_followed(folder.path, "folder", links)
    others = []
    for folder in folders:
        if folder not in named and holds_images(folder.path):
            others.append(folder)
    if train is None:
        raise _no_train(root, named, others)
    if layout == "auto" and others and all(folder.is_flat for folder in named):
        return None
    if train.is_flat:
        raise InputError(
            f"images lie directly in {_shown(train.path)}, not in folders of classes: put one "
            "folder for each class there, or set layout=classes if it is itself a class"
        )
    if others and layout == "auto":
        raise InputError(
            f"{str(root)!r} has {train.name}/ and beside it images in {_listed(others)}, which "
            f"would be left out: move the class folders into {train.name}/, or set layout=splits "
            "to leave them out, or layout=classes if each of these folders is a class"
        )
    unused = [f"{_shown(folder.name)} is neither training nor test set" for folder in others]
    train_names = {folder.name for folder in _folders_in(train.path)}
    chosen: _Folder | None = None
    for candidate in (test, validation):
        if candidate is None:
            continue
        if chosen is not None:
            unused.append(
                f"{_shown(candidate.name)} is not used: {_shown(chosen.name)} is the test set"
            )
        elif candidate.is_flat or _holds_one_other_folder(candidate, train_names):
            unused.append(
                f"{_shown(candidate.name)} is not used as a test set: its images lie in no class "
                "folders"
            )
        else:
            chosen = candidate
    test_path = None if chosen is None else Path(chosen.path)
    return FolderLayout(Path(train.path), test_path, leaves=False, unused=tuple(unused))


def _holds_one_other_folder(folder: _Folder, class_names: set[str]) -> bool:
    """Returns whether the images of a folder lie together in one that is no class.

    So does Tiny-ImageNet keep its unlabeled images, in `test/images/`.
    """
    names = {inner.name for inner in _folders_in(folder.path)}
    return len(names) == 1 and not names & class_names


def _no_train(root: Path, named: Sequence[_Folder], others: Sequence[_Folder]) -> InputError:
    first = named[0]
    if others:
        return InputError(
            f"{str(root)!r} has {_shown(first.name)} and beside it images in {_listed(others)}, "
            "but no train/: move these class folders into train/, or set layout=classes if "
            f"{_shown(first.name)} is a class too"
        )
    return InputError(
        f"{str(root)!r} has {_listed(named)} but no train/: put the training class folders into "
        f"train/, or set path to {_shown(first.path)} to read it alone"
    )


def _check_no_wrapper(root: Path, only: _Folder) -> None:
    """Raises InputError if the only folder of a root holds the folders that are meant.

    Archives are often made of, or unpacked into, such a folder.
    """
    if only.has_folders and not only.has_images and holds_images(only.path):
        raise InputError(
            f"{str(root)!r} holds the single folder {_shown(only.name)}, which holds further "
            f"folders: set path to {_shown(only.path)}"
        )


def _said_classes(folders: Sequence[_Folder]) -> tuple[str, ...]:
    said = []
    for folder in folders:
        if folder.name.lower() in (*_TRAIN, *_TEST, *_VALIDATION):
            said.append(f"{_shown(folder.name)} is read as a class, like the folders beside it")
    return tuple(said)


def _only_one_of(folders: Sequence[_Folder], names: Sequence[str]) -> _Folder | None:
    found = [folder for folder in folders if folder.name.lower() in names]
    if len(found) > 1:
        raise InputError(
            f"{_listed(found)} may all be the same split: keep one, or set layout=classes if they "
            "are classes"
        )
    return found[0] if found else None


def _are_leaves(train: Path, depth: ClassDepth) -> bool:
    """Returns whether the folders that hold images are the classes, not those of the first level.

    Raises:
        InputError: If one of the first level holds images in several folders, and none directly.
    """
    if depth != "auto":
        return depth == "leaf"
    for folder in _folders_in(str(train)):
        with_images = (
            () if folder.has_images else tuple(islice(folders_with_images(folder.path), 2))
        )
        if len(with_images) > 1:
            first = os.path.relpath(with_images[0], train)
            second = os.path.relpath(with_images[1], train)
            raise InputError(
                f"{str(train)!r} holds images in {_shown(first)} and {_shown(second)}: set "
                f"classes=leaf if these are two classes, or classes=top if {_shown(folder.name)} "
                "is one"
            )
    return False


def _folders_in(folder: str) -> list[_Folder]:
    """Returns the folders in a folder, and the links that may be one, by name."""
    folders = []
    for entry in sorted_entries(folder):
        is_named = entry.name.lower() in (*_TRAIN, *_TEST, *_VALIDATION)
        if entry.is_dir() or (is_named and entry.is_symlink()):
            folders.append(_Folder(entry.name, entry.path))
    return folders


def _shown(name: str) -> str:
    return repr(shortened(encodable(name), 80))


def _listed(folders: Sequence[_Folder]) -> str:
    text = ", ".join(_shown(folder.name) for folder in folders[:3])
    if len(folders) > 3:
        text += f" and {len(folders) - 3} more"
    return text
