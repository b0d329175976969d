"""Folders of image files, one folder a class, as numbered samples; only regular files are opened.

A few classes are listed at a time, so what stays in memory is one number for each class.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError, decode_image
from ray_defense.data.limits import MAX_ENCODED_BYTES
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit
from ray_defense.data.sources.signature import files_signature


@dataclass(frozen=True)
class ClassFolders:
    """The training and the test folder of a dataset, each of which holds a folder for every class.

    The samples are all files below the class folders; classes and files are sorted by name. A
    link, FIFO or device among the files is rejected unopened, and a folder that is a link raises
    InputError. A sample of a class that only the test set has gets the label -1.
    """

    root: Path  # the paths of samples are relative to it
    train: Path
    test: Path | None  # None: there is no test set

    def __post_init__(self) -> None:
        for folder in (self.train, self.test):
            if folder is not None and folder != self.root and folder.is_symlink():
                raise InputError(f"{str(folder)!r} is a link: put the folder itself there")

    def info(self, size: int) -> SourceInfo:
        """Returns the classes of the training set, and `size`, to which images are resized."""
        names = tuple(encodable(name) for name in list_class_names(self.train))
        return SourceInfo(len(names), names, size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        """Returns the labels of a split, int64 [N]."""
        labels = []
        counts = []
        for label, folder, modified_ns in self._classes(split):
            labels.append(label)
            counts.append(_count_files(str(folder), modified_ns))
        return np.repeat(np.array(labels, np.int64), np.array(counts, np.int64))

    def signature(self, split: SourceSplit) -> str:
        """Returns a text that changes when the files of a split do."""
        files = (file for _, _, file in self._files(split, 0, None))
        return files_signature(self.root, files)

    def read(self, split: SourceSplit, low: int, high: int, size: int) -> Batch:
        """Returns the samples at positions low to high - 1, decoded to `size` (see `Source`)."""

        def decode_file(file: str) -> np.ndarray:
            return decode_image(_read_regular_file(self.root / file), size)

        return collect_batch(self._samples(split, low, high), self.info(size), decode_file)

    def _samples(self, split: SourceSplit, low: int, high: int) -> Iterator[UndecodedSample[str]]:
        for index, label, file in self._files(split, low, high):
            yield UndecodedSample(index, encodable(file), label, content=file)

    def _classes(self, split: SourceSplit) -> Iterator[tuple[int, Path, int]]:
        """Yields the label of each class, its folder and when that last changed, in ns."""
        folder = self.train if split == "train" else self.test
        if folder is None:
            return
        train_names = list_class_names(self.train)
        label_of = {name: label for label, name in enumerate(train_names)}
        names = train_names if split == "train" else list_class_names(folder)
        for name in names:
            yield label_of.get(name, -1), folder / name, os.stat(folder / name).st_mtime_ns

    def _files(
        self, split: SourceSplit, low: int, high: int | None
    ) -> Iterator[tuple[int, int, str]]:
        """Yields index, label and path of the samples at positions low to high - 1.

        Paths are relative to the root; without `high`, all samples from `low` on are meant.
        """
        start = 0  # the index of the first file of the class
        for label, folder, modified_ns in self._classes(split):
            count = _count_files(str(folder), modified_ns)
            first = max(low - start, 0)
            end = count if high is None else min(high - start, count)
            if first < end:
                class_path = folder.relative_to(self.root)
                files = _list_files(str(folder), modified_ns)
                for index, file in enumerate(files[first:end], start + first):
                    yield index, label, f"{class_path}/{file}"
            start += count


def is_folder_or_link(path: Path) -> bool:
    """Returns whether a path is a folder or a link, which ClassFolders then refuses."""
    return path.is_symlink() or path.is_dir()


def encodable(name: str) -> str:
    """Returns a file name as text that UTF-8 can encode: bytes that it cannot become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def list_class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the class folders in a folder, sorted.

    Folders of tools, such as `.git` and `__MACOSX`, are no classes.

    Raises:
        InputError: If one of them is a link, or there are none.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _raise_cannot_list(error)
    names = []
    for entry in entries:
        if entry.is_symlink() and entry.is_dir():
            raise InputError(f"class folder {entry.path!r} is a link: put the folder itself there")
        if entry.is_dir(follow_symlinks=False) and not _belongs_to_tool(entry.name):
            names.append(entry.name)
    if not names:
        raise InputError(
            f"no class folders in {str(folder)!r}: "
            "there must be one folder of images for every class"
        )
    return tuple(names)


def _belongs_to_tool(name: str) -> bool:
    # Notebooks, version control and file managers leave such folders behind.
    return name.startswith(".") or name == "__MACOSX"


# Listing a million files takes seconds, and reading any range of a split needs all counts.
@lru_cache(maxsize=1 << 16)
def _count_files(folder: str, modified_ns: int) -> int:
    return len(_list_files(folder, modified_ns))


# A range of a split lies in few classes; the names of a whole dataset would fill the memory.
@lru_cache(maxsize=4)
def _list_files(folder: str, modified_ns: int) -> tuple[str, ...]:
    """Returns the relative paths of everything below a folder but real folders, sorted.

    Links are included. `modified_ns` is when the folder last changed, so that an entry of the
    cache is not used after a change.
    """
    paths = []
    for parent, folders, files in os.walk(folder, onerror=_raise_cannot_list):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*files, *links):
            paths.append(Path(parent, name).relative_to(folder))
    return tuple(str(path) for path in sorted(paths))


def _raise_cannot_list(error: OSError) -> NoReturn:
    raise InputError(
        f"cannot list {error.filename!r}: {error.strerror}; make it readable or take it out"
    )


def _read_regular_file(file: Path) -> bytes:
    # The kind of the file is asked before it is opened, since opening blocks on a FIFO and acts on
    # a device. The flags cover the case that the file is replaced in between.
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise DecodeError("not a regular file (link, FIFO or device)")
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise DecodeError("no permission to read the file") from None
    with open(handle, "rb") as opened:
        return opened.read(MAX_ENCODED_BYTES + 1)
