"""The poisoned images that BackdoorBench saves: `bd_train_dataset/<label before>/<position>.png`.

Each file is named by its position in the clean training set; its folder is the label before the
attack. The label that the attacker gave stands in `attack_result.pt` alone: a pickle, which is
never opened.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.text import encodable, shortened

RECORD_FOLDER = "bd_train_dataset"
_MAX_IMAGES = 2**24
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """An image that the attacker put in the place of a clean one."""

    file: str  # relative to `bd_train_dataset`
    label_before: int


def is_record(folder: Path) -> bool:
    """Returns whether a folder is a record of BackdoorBench, or its `bd_train_dataset`."""
    return folder.name == RECORD_FOLDER or (folder / RECORD_FOLDER).is_dir()


def recorded_folder(path: str) -> Path:
    """Returns the folder of the poisoned training images of a record.

    Raises:
        InputError: If there is none.
    """
    folder = Path(path)
    if path and folder.name != RECORD_FOLDER:
        folder = folder / RECORD_FOLDER
    if not path or folder.is_symlink() or not folder.is_dir():
        raise InputError(
            f"no folder {_shown(folder if path else '')}: set path to the record of BackdoorBench, "
            f"the folder with {RECORD_FOLDER}"
        )
    return folder


def list_recorded(folder: Path) -> Mapping[int, RecordedImage]:
    """Returns the poisoned images by their position in the clean training set, ascending.

    Raises:
        InputError: If a file is named otherwise, or is no regular file, or a position stands twice.
    """
    found: dict[int, RecordedImage] = {}
    for label_folder in _entries(folder):
        if not label_folder.is_dir(follow_symlinks=False):
            raise _unexpected(label_folder.path, "is no folder of a label")
        label = _number(label_folder.name)
        if label is None:
            raise _unexpected(label_folder.path, "is called by no label")
        for entry in _entries(Path(label_folder.path)):
            stem, ending = os.path.splitext(entry.name)
            position = _number(stem)
            if position is None or ending.lower() not in _ENDINGS:
                raise _unexpected(entry.path, "is no image that is called by its position")
            if not entry.is_file(follow_symlinks=False):
                raise _unexpected(entry.path, "is a link or no regular file")
            if position in found:
                raise _unexpected(entry.path, f"is a second image of the position {position}")
            found[position] = RecordedImage(f"{label_folder.name}/{entry.name}", label)
            if len(found) > _MAX_IMAGES:
                raise _unexpected(str(folder), f"has more than {_MAX_IMAGES} images")
    if not found:
        raise _unexpected(str(folder), "has no images")
    return dict(sorted(found.items()))


def _entries(folder: Path) -> "Iterator[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"cannot list {_shown(folder)}: {error.strerror}; make it readable"
        ) from None
    for entry in listed:
        if not is_junk(entry.name):
            yield entry


def _number(text: str) -> int | None:
    is_plain = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_plain and str(int(text)) == text else None


def _unexpected(path: str, what: str) -> InputError:
    return InputError(
        f"{_shown(path)} {what}: give the folder {RECORD_FOLDER} as BackdoorBench wrote it, with "
        "images such as 3/1742.png"
    )


def _shown(path: object) -> str:
    return repr(shortened(encodable(str(path)), 200))
