"""Which files `save_to_disk()` of Hugging Face's `datasets` wrote, from its own JSON files.

A dataset is a folder with `state.json`, which names its Arrow files in order, and
`dataset_info.json`. A set of splits has `dataset_dict.json` and a folder for each split.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASS_NAMES_BYTES, MAX_CLASSES
from ray_defense.data.sources.split_files import TEST_WORDS, TRAIN_WORDS, SplitFiles
from ray_defense.data.text import class_name, encodable, shortened

STATE = "state.json"
INFO = "dataset_info.json"
SPLITS = "dataset_dict.json"
_MAX_JSON_BYTES = 2 * MAX_CLASS_NAMES_BYTES
_MAX_FILES = 10_000
_MAX_SPLITS = 100


def is_saved_dataset(folder: Path) -> bool:
    """Returns whether a folder has the files that `save_to_disk()` writes."""
    return (folder / SPLITS).is_file() or (folder / STATE).is_file()


def find_saved_files(path: str) -> SplitFiles:
    """Returns the Arrow files of a saved dataset, or of a set of splits.

    Args:
        path: An Arrow file, or the folder that was written.

    Raises:
        InputError: If there is no training set, or what the folder says of itself is not so.
    """
    root = Path(path)
    if path and root.is_file():
        return SplitFiles(root.parent, (root.name,), ())
    if not path or not is_saved_dataset(root):
        raise InputError(
            f"no saved dataset in {_shown(root if path else '')}: set path to the folder that "
            f"save_to_disk() wrote, with {STATE} or {SPLITS}"
        )
    if not (root / SPLITS).is_file():
        return SplitFiles(root, _data_files(root), ())
    return _split_files(root)


def _split_files(root: Path) -> SplitFiles:
    splits = _read_json(root / SPLITS).get("splits")
    if not isinstance(splits, list) or not 1 <= len(splits) <= _MAX_SPLITS:
        raise _malformed(root / SPLITS, "names no splits")
    for name in splits:
        if not _is_plain_name(name):
            raise _malformed(root / SPLITS, f"names the split {_shown(name)}")
    recognized = []
    train = _first_split(splits, TRAIN_WORDS)
    if train is None and len(splits) == 1:
        train = splits[0]
        recognized.append(f"The only split, {_shown(train)}, is the training set.")
    if train is None:
        raise InputError(
            f"{_shown(root)} has no split called train, but {_listed(splits)}: set path to the "
            "folder of one of them"
        )
    test = _first_split(splits, TEST_WORDS)
    if test == train:
        test = None
    if test is not None and test.lower() not in ("test", "testing"):
        recognized.append(f"The test set is the split {_shown(test)}.")
    unread = [name for name in splits if name not in (train, test)]
    left_out = (f"These splits are not read: {_listed(unread)}.",) if unread else ()
    files = {}
    for name in (train, test):
        if name is not None:
            files[name] = tuple(f"{name}/{file}" for file in _data_files(root / name))
    return SplitFiles(root, files[train], files.get(test or "", ()), tuple(recognized), left_out)


def described_by(found: SplitFiles, files: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the JSON files that say what some of the Arrow files are, relative to their root."""
    names = [SPLITS]
    for folder in sorted({str(Path(file).parent) for file in files}):
        names += [f"{folder}/{STATE}", f"{folder}/{INFO}"]
    return tuple(name for name in names if (found.root / name).is_file())


def class_names_in_info(folder: Path, label: str) -> tuple[str, ...]:
    """Returns the class names that `dataset_info.json` gives a column of labels, or ().

    Raises:
        InputError: If they are more than there can be, or the file is damaged.
    """
    if not (folder / INFO).is_file():
        return ()
    value: object = _read_json(folder / INFO)
    for key in ("features", label, "names"):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return ()
    if len(value) > MAX_CLASSES:
        raise _malformed(folder / INFO, f"names {len(value)} classes, more than {MAX_CLASSES}")
    return tuple(class_name(name) for name in value)


def _data_files(folder: Path) -> tuple[str, ...]:
    """Returns the names of the Arrow files of a dataset, in the order of their rows."""
    listed = _read_json(folder / STATE).get("_data_files")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MAX_FILES:
        raise _malformed(folder / STATE, "names no data files")
    names = []
    for entry in listed:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not _is_plain_name(name):
            raise _malformed(folder / STATE, f"names the file {_shown(name)}")
        _check_regular(folder / str(name))
        names.append(str(name))
    return tuple(names)


def _read_json(file: Path) -> Mapping[str, Any]:
    _check_regular(file)
    try:
        with open(file, "rb") as opened:
            data = opened.read(_MAX_JSON_BYTES + 1)
        if len(data) > _MAX_JSON_BYTES:
            raise _malformed(file, f"has more than {_MAX_JSON_BYTES} bytes")
        content = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise _malformed(file, f"is no JSON ({shortened(error, 100)})") from None
    if not isinstance(content, dict):
        raise _malformed(file, "is no object")
    return content


def _check_regular(file: Path) -> None:
    try:
        mode = os.lstat(file).st_mode
    except OSError as error:
        raise InputError(
            f"{_shown(file)} belongs to the dataset and cannot be read ({error.strerror}): "
            "fetch it too"
        ) from None
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{_shown(file)} is a link or no regular file: put the file itself there (cp -L "
            "copies what a link points to)"
        )


def _is_plain_name(name: object) -> bool:
    """Returns whether a value is the name of a file or folder right here."""
    if not isinstance(name, str) or "\0" in name or not name.isprintable():
        return False
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name


def _first_split(splits: list[str], words: tuple[str, ...]) -> str | None:
    for word in words:
        for name in splits:
            if name.lower() == word:
                return name
    return None


def _malformed(file: Path, what: str) -> InputError:
    return InputError(
        f"{_shown(file)} {what}: write the dataset again with save_to_disk() or to_parquet()"
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _shown(value: object) -> str:
    return repr(shortened(encodable(str(value)), 200))
