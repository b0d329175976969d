"""Class folders of image files as numbered samples, listed a few classes at a time; only regular files are opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from ray_defense.core.errors import Refused
from ray_defense.data.decode import MAX_BYTES, DecodeError, decode_image
from ray_defense.data.sources.collect import collect
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split
from ray_defense.data.sources.signature import files_signature


@dataclass(frozen=True)
class ClassFolders:
    """The training and test folders of a dataset, each with a folder a class; classes and files are sorted.

    Samples are all files below the class folders. A link, FIFO or device among them is rejected unopened; a folder that
    is a link is refused. A class that only the test set has gives label -1. What stays in memory is one number a class.
    """

    root: Path  # paths of samples are relative to it
    train: Path
    test: Path | None  # None: no test set

    def __post_init__(self) -> None:
        for folder in (self.train, self.test):
            if folder and folder != self.root and folder.is_symlink():
                raise Refused(f"{str(folder)!r} is a link: put the folder itself there")

    def info(self, size: int) -> SourceInfo:
        """Returns what the training set holds, its images resized to `size`."""
        names = tuple(printable(name) for name in class_names(self.train))
        return SourceInfo(len(names), names, size)

    def labels(self, split: Split) -> np.ndarray:
        """Returns int64 [N]."""
        counted = [(label, _count(str(folder), modified_ns)) for label, folder, modified_ns in self._classes(split)]
        labels, counts = np.array(counted, dtype=np.int64).reshape(-1, 2).T
        return np.repeat(labels, counts)

    def signature(self, split: Split) -> str:
        """Returns a text that changes when the files of a split do."""
        return files_signature(self.root, (file for _, _, file in self._files(split, 0, None)))

    def read(self, split: Split, lo: int, hi: int, size: int) -> Batch:
        """Returns the samples lo..hi-1 (clamped), each decoded to `size` or rejected with its reason."""
        samples = ((index, printable(file), label, file) for index, label, file in self._files(split, lo, hi))
        return collect(samples, self.info(size), lambda file: decode_image(_read_regular(Path(self.root, file)), size))

    def _classes(self, split: Split) -> Iterator[tuple[int, Path, int]]:
        """Yields (label, folder, time of its last change in ns)."""
        folder = self.train if split == "train" else self.test
        if folder is None:
            return
        known = {name: label for label, name in enumerate(class_names(self.train))}
        for name in known if split == "train" else class_names(folder):
            yield known.get(name, -1), folder / name, os.stat(folder / name).st_mtime_ns

    def _files(self, split: Split, lo: int, hi: int | None) -> Iterator[tuple[int, int, str]]:
        """Yields (index, label, path relative to the root) of the samples lo..hi-1."""
        start = 0
        for label, folder, modified_ns in self._classes(split):
            count = _count(str(folder), modified_ns)
            first, last = max(lo - start, 0), count if hi is None else min(hi - start, count)
            if first < last:
                relative = folder.relative_to(self.root)
                for index, file in enumerate(_list(str(folder), modified_ns)[first:last], start + first):
                    yield index, label, f"{relative}/{file}"
            start += count


def there(folder: Path) -> bool:
    """Returns whether there is a folder or, for ClassFolders to refuse, a link of that name."""
    return folder.is_symlink() or folder.is_dir()


def printable(name: str) -> str:
    """Returns a file name as text that can be encoded: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def class_names(folder: Path) -> tuple[str, ...]:
    """Returns the sorted names of the class folders in `folder`; raises Refused for a link among them, or for none."""
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


@lru_cache(maxsize=1 << 16)  # listing a million files takes seconds, and every range of the index needs the counts
def _count(folder: str, modified_ns: int) -> int:
    return len(_list(folder, modified_ns))


@lru_cache(maxsize=4)  # a range of the index lies in few classes; the names of a whole dataset would fill the memory
def _list(folder: str, modified_ns: int) -> tuple[str, ...]:
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
