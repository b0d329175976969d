"""A folder of class folders of image files; only regular files below the root are opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NoReturn

import numpy as np

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.data.beton import MAX_SIDE
from ray_defense.data.decode import MAX_BYTES, DecodeError, decode_image
from ray_defense.data.sources.collect import collect
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split, make_absolute
from ray_defense.data.sources.signature import files_signature


@dataclass(frozen=True)
class ImageFolder:
    """`<path>/{train,test}/<class>/**`, or `<path>/<class>/**` for a training set alone; classes and files sorted.

    Samples are all files below the class folders. A link, FIFO or device among them is rejected unopened; a class
    folder that is a link is refused. A class that only the test set has gives label -1.
    """

    name: ClassVar[str] = "image_folder"
    path: str = ""  # the folder
    size: int = 32  # pixels a side

    def __post_init__(self) -> None:
        in_range("size", self.size, 8, MAX_SIDE)
        make_absolute(self, "path")

    def info(self) -> SourceInfo:
        names = tuple(printable(name) for name in _classes(self._folder("train")))
        return SourceInfo(len(names), names, self.size)

    def labels(self, split: Split) -> np.ndarray:
        return np.array([label for label, _ in self._entries(split)], dtype=np.int64)

    def signature(self, split: Split) -> str:
        return files_signature(Path(self.path), (file for _, file in self._entries(split)))

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        entries = list(self._entries(split))
        places = range(max(lo, 0), min(hi, len(entries)))
        samples = ((i, printable(entries[i][1]), *entries[i]) for i in places)
        return collect(samples, self.info(), lambda file: decode_image(_read_regular(Path(self.path, file)), self.size))

    def _folder(self, split: Split) -> Path | None:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise Refused(f"no folder {self.path!r}: set path to one with class folders, or train/ and test/")
        folder = root / split
        if folder.is_symlink():
            raise Refused(f"{str(folder)!r} is a link: put the folder itself there")
        if folder.is_dir():
            return folder
        if split == "test":
            return None
        if (root / "test").is_dir():
            raise Refused(f"{self.path!r} has a test/ but no train/: put the training class folders in train/")
        return root

    def _entries(self, split: Split) -> Iterator[tuple[int, str]]:
        """Yields (label, path relative to the root) in the order of the index."""
        folder = self._folder(split)
        if folder is None:
            return
        known = {name: label for label, name in enumerate(_classes(self._folder("train")))}
        for name in known if split == "train" else _classes(folder):
            relative = (folder / name).relative_to(self.path)
            for file in _files(str(folder / name), os.stat(folder / name).st_mtime_ns):
                yield known.get(name, -1), f"{relative}/{file}"


def printable(name: str) -> str:
    """Returns a file name as text that can be encoded: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _classes(folder: Path) -> tuple[str, ...]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _refuse_listing(error)
    for entry in entries:
        if entry.is_symlink() and entry.is_dir():
            raise Refused(f"class folder {entry.path!r} is a link: put the folder itself there")
    names = tuple(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not _hidden(entry.name))
    if not names:
        raise Refused(f"no class folders in {str(folder)!r}: there must be one folder of images for every class")
    return names


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # of notebooks, version control and file managers


@lru_cache(maxsize=4096)  # listing a million files takes seconds, and every range of the index needs it
def _files(folder: str, modified_ns: int) -> tuple[str, ...]:
    """Returns the sorted relative paths of all that is no real folder below `folder`, links included."""
    found = []
    for parent, folders, files in os.walk(folder, onerror=_refuse_listing):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [Path(parent, name).relative_to(folder) for name in (*files, *links)]
    return tuple(str(path) for path in sorted(found))


def _refuse_listing(error: OSError) -> NoReturn:
    raise Refused(f"cannot list {error.filename!r}: {error.strerror}; make it readable or take it out")


def _read_regular(file: Path) -> bytes:
    # the kind is asked before opening, which blocks on a FIFO and acts on a device; the flags cover a swap in between
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise DecodeError("not a regular file (link, FIFO or device)")
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise DecodeError("no permission to read the file") from None
    with open(handle, "rb") as opened:
        return opened.read(MAX_BYTES + 1)
