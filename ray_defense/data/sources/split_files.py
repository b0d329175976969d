"""Which files of a folder are the training set and which are the test set, by their names.

Hugging Face writes a split as `data/train-00000-of-00002.parquet` and so on. Plain names such as
`train.parquet` are read as well.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.data.rows.label_mapping import natural_key
from ray_defense.data.text import encodable, shortened

# The first of these that a folder has is its test set.
TEST_WORDS = ("test", "testing", "validation", "valid", "val")
TRAIN_WORDS = ("train", "training")
_PART_OF = re.compile(r"([0-9]{1,9})-of-([0-9]{1,9})\.")
_MAX_FILES = 10_000


@dataclass(frozen=True)
class SplitFiles:
    """The files of both splits."""

    root: Path  # the folder that they lie in
    train: tuple[str, ...]  # relative to it, in the order of their rows
    test: tuple[str, ...]
    recognized: tuple[str, ...] = ()  # sentences on what is which split
    left_out: tuple[str, ...] = ()  # and on what is not read

    def paths(self, split: str) -> list[Path]:
        """Returns the files of a split."""
        names = self.train if split == "train" else self.test
        return [self.root / name for name in names]


def find_split_files(path: str, endings: tuple[str, ...]) -> SplitFiles:
    """Returns the files of a path: the file itself, or those of a folder.

    In a folder, or else in its folder `data`, or else in its only folder with such files, the
    first word of a name says the split. Several files are one split, in natural order.

    Args:
        path: The file or the folder.
        endings: Those of the names of files, such as ".parquet".

    Raises:
        InputError: If there is no training file, or a part of a split is missing.
    """
    root = Path(path)
    if path and root.is_file():
        return SplitFiles(root.parent, (root.name,), ())
    if not path or not root.is_dir():
        raise _no_file(root if path else Path(""), endings)
    folder, files = _folder_with_files(root, endings)
    files_of: dict[str, list[str]] = {}
    for file in files:
        files_of.setdefault(_split_word(file), []).append(file)
    train = _first_of(files_of, TRAIN_WORDS)
    test = _first_of(files_of, TEST_WORDS)
    recognized = []
    if not train and set(files_of) == {""}:
        train = files_of.pop("")
        recognized.append("No name of a file says a split, so all files are the training set.")
    if not train:
        raise _no_file(root / f"train{endings[0]}", endings)
    for names in (train, test):
        _check_complete(folder, names)
    if test and _split_word(test[0]) not in ("test", "testing"):
        recognized.append(f"The test set is {_listed(test)}.")
    unread = sorted(set(files) - set(train) - set(test))
    left_out = (f"These files are not read: {_listed(unread)}.",) if unread else ()
    return SplitFiles(folder, tuple(train), tuple(test), tuple(recognized), left_out)


def holds_files(folder: Path, endings: tuple[str, ...]) -> bool:
    """Returns whether a folder, or one in it that would be looked at, has such files."""
    return bool(_folder_with_files(folder, endings)[1])


def _folder_with_files(root: Path, endings: tuple[str, ...]) -> tuple[Path, list[str]]:
    """Returns the folder that holds the files, and their names relative to it."""
    files = _file_names(root, endings)
    if files:
        return root, files
    folders = _folders_of(root)
    if "data" in folders:
        files = _file_names(root / "data", endings)
        if files:
            return root / "data", files
    split_files = []
    others = []
    for folder in folders:
        names = _file_names(root / folder, endings)
        if names and folder.lower() in (*TRAIN_WORDS, *TEST_WORDS):
            split_files += [f"{folder}/{name}" for name in names]
        elif names:
            others.append((root / folder, names))
    if split_files:
        return root, split_files
    if len(others) > 1:
        named = _listed([folder.name for folder, _ in others])
        raise InputError(
            f"{shortened(encodable(str(root)))!r} has several folders of {endings[0]} files, "
            f"{named}: set path to one of them"
        )
    return others[0] if others else (root, [])


def _file_names(folder: Path, endings: tuple[str, ...]) -> list[str]:
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                has_ending = entry.name.lower().endswith(endings)
                if not has_ending or entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    raise InputError(
                        f"{shortened(encodable(entry.path))!r} is a link: put the file itself "
                        "there (cp -L copies what a link points to)"
                    )
                if entry.is_file():
                    names.append(entry.name)
    except OSError as error:
        raise InputError(
            f"cannot list {shortened(encodable(str(folder)))!r}: {error.strerror}; make it readable"
        ) from None
    if len(names) > _MAX_FILES:
        raise InputError(
            f"{len(names)} {endings[0]} files in {shortened(encodable(str(folder)))!r}, more than "
            f"{_MAX_FILES}: write them again as fewer"
        )
    return sorted(names, key=natural_key)


def _folders_of(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if not name.startswith("."))


def _split_word(file: str) -> str:
    """Returns the word of the split in a name, in small letters, or ""."""
    word = re.split("[^a-z]", file.lower(), maxsplit=1)[0]
    return word if word in (*TRAIN_WORDS, *TEST_WORDS) else ""


def _first_of(files_of: dict[str, list[str]], words: tuple[str, ...]) -> list[str]:
    for word in words:
        if word in files_of:
            return files_of[word]
    return []


def _check_complete(folder: Path, names: list[str]) -> None:
    """Raises InputError if the names say that there are more files than are there."""
    numbers = set()
    total = 0
    for name in names:
        found = _PART_OF.search(name)
        if found is None:
            return
        numbers.add(int(found[1]))
        total = max(total, int(found[2]))
    for number in range(min(total, _MAX_FILES)):
        if number not in numbers:
            raise InputError(
                f"part {number} of {total} is missing beside {names[0]!r} in "
                f"{shortened(encodable(str(folder)))!r}: fetch it too"
            )


def _no_file(path: Path, endings: tuple[str, ...]) -> InputError:
    return InputError(
        f"no file {shortened(encodable(str(path)))!r}: "
        f"set the source's path to a file or a folder with train{endings[0]}"
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(shortened(encodable(name), 60)) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
