"""Says in sentences how a folder of images is understood, and what of it nobody reads."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ray_defense.data.sources.class_folders import ClassFolders, are_numbers, cannot_list
from ray_defense.data.sources.image_names import is_image_name
from ray_defense.data.sources.junk import JunkCount, is_junk
from ray_defense.data.sources.protocol import SourceDescription
from ray_defense.data.text import encodable, shortened

_NUM_SHOWN = 5  # names in a sentence


def describe_folders(folders: ClassFolders, unused: Sequence[str]) -> SourceDescription:
    """Returns what the folders of a dataset are taken for.

    Args:
        folders: The folders.
        unused: Sentences on folders that no split reads.
    """
    names = folders.class_names(folders.train)
    num_train = len(folders.labels("train"))
    where = "each folder of images" if folders.leaves else "each folder of the first level"
    recognized = [
        f"{_shown_folder(folders, folders.train)} is the training set: {_counted(num_train)} in "
        f"{len(names)} classes, {where} is one"
    ]
    if folders.test is None:
        recognized.append("there is no test set")
    else:
        num_test = _counted(len(folders.labels("test")))
        recognized.append(f"{_shown_folder(folders, folders.test)} is the test set: {num_test}")
    if are_numbers(names):
        recognized.append(_said_mapping(names))
    if folders.links is not None:
        below = shortened(encodable(folders.links.below))
        recognized.append(f"links to what lies below {below!r} are followed")
    left_out = list(unused)
    left_out.extend(_said_test_classes(folders, names))
    left_out.extend(_said_beside_classes(folders))
    junk = _count_junk(folders)
    left_out.extend(_said_junk(junk))
    return SourceDescription(tuple(recognized), tuple(left_out), num_junk=junk.entries.total())


def _said_mapping(names: Sequence[str]) -> str:
    if all(int(name) == label for label, name in enumerate(names)):
        return "the class folders are numbers, and each is the label of its images"
    examples = []
    for label, name in list(enumerate(names))[:_NUM_SHOWN]:
        examples.append(f"{_shown(name)} is label {label}")
    more = ", ..." if len(names) > _NUM_SHOWN else ""
    return f"the class folders are numbers and labeled in their order: {', '.join(examples)}{more}"


def _said_test_classes(folders: ClassFolders, names: Sequence[str]) -> list[str]:
    """Returns a sentence on the classes that only one of the splits has, if there are any."""
    if folders.test is None:
        return []
    said = []
    test_names = folders.class_names(folders.test)
    unknown = sorted({*test_names} - {*names})
    if unknown:
        num_images = int(np.count_nonzero(folders.labels("test") == -1))
        said.append(
            f"left out: {_counted(num_images)} of the test set, of {_listed(unknown)}, which the "
            "training set lacks"
        )
    missing = sorted({*names} - {*test_names})
    if missing:
        said.append(f"the test set has no {_listed(missing)}")
    return said


def _said_beside_classes(folders: ClassFolders) -> list[str]:
    """Returns sentences on files that lie in no class folder.

    Beside the folders of the first level, only what is called like an image counts: programs that
    make datasets put their own files there.
    """
    said = []
    for folder in _split_folders(folders):
        class_paths = {str(folder / name) for name in folders.class_names(folder)}
        num_files = 0
        paths = [str(folder)]
        for path in paths:  # which grows meanwhile
            for entry in _entries(path):
                if is_junk(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if folders.leaves:
                        paths.append(entry.path)
                elif path not in class_paths and not entry.is_dir():
                    num_files += path != str(folder) or is_image_name(entry.name)
        if num_files:
            said.append(
                f"left out: {_counted(num_files)} in {_shown_folder(folders, folder)} beside the "
                "class folders"
            )
    return said


def _count_junk(folders: ClassFolders) -> JunkCount:
    """Returns what is skipped as no part of the data."""
    junk = JunkCount()
    for folder in _split_folders(folders):
        paths = [str(folder)]
        for path in paths:  # which grows meanwhile
            for entry in _entries(path):
                if is_junk(entry.name):
                    junk.add(entry)
                elif entry.is_dir(follow_symlinks=False):
                    paths.append(entry.path)
    if folders.root not in _split_folders(folders):
        for entry in _entries(str(folders.root)):
            if is_junk(entry.name):
                junk.add(entry)
    return junk


def _said_junk(junk: JunkCount) -> list[str]:
    """Returns sentences on what is skipped as no part of the data, if there is any."""
    if not junk.entries:
        return []
    said = [f"skipped as no part of the data: {_tally(junk.entries)}"]
    if junk.with_images:
        said.append(
            f"images are in what was skipped ({_tally(junk.with_images)}): remove them, since a "
            "training program may read them"
        )
    return said


def _split_folders(folders: ClassFolders) -> list[Path]:
    return [folders.train] if folders.test is None else [folders.train, folders.test]


def _entries(folder: str) -> "Iterator[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise cannot_list(error) from None


def _tally(counts: Counter[str]) -> str:
    """Returns names with their counts, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{count} x {_shown(name)}" for name, count in ordered[:_NUM_SHOWN])
    if len(ordered) > _NUM_SHOWN:
        text += f" and {sum(count for _, count in ordered[_NUM_SHOWN:])} others"
    return text


def _counted(num_files: int) -> str:
    return f"{num_files} file{'' if num_files == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    kind = "class" if len(names) == 1 else "classes"
    text = ", ".join(_shown(name) for name in names[:_NUM_SHOWN])
    if len(names) > _NUM_SHOWN:
        text += f" and {len(names) - _NUM_SHOWN} more"
    return f"{kind} {text}"


def _shown_folder(folders: ClassFolders, folder: Path) -> str:
    if folder == folders.root:
        return "the whole folder"
    return _shown(f"{folder.relative_to(folders.root)}/")


def _shown(name: str) -> str:
    return repr(shortened(encodable(name), 80))
