"""Folders of image files, one folder a class, as numbered samples; only regular files are opened.

A few classes are listed at a time, so what stays in memory is one number for each class.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ray_defense.core.errors import InputError, RayDefenseError, RunError
from ray_defense.data.decode import DecodeError, decode_image
from ray_defense.data.limits import MAX_CLASSES, MAX_ENCODED_BYTES
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.listing import FileListing, ListedFile, source_changed
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit
from ray_defense.data.sources.signature import FilesDigest
from ray_defense.data.text import class_name, encodable, shortened

# A folder that changed this shortly before it was listed may change again without a sign of it:
# the times of some file systems are whole seconds, of FAT even ones.
_SETTLED_NS = 2_500_000_000
_MAX_KNOWN_FOLDERS = 10_000  # below one class, whose times are kept


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
        return _info_of(list_class_names(self.train), size)

    def labels(self, split: SourceSplit) -> np.ndarray:
        """Returns the labels of a split, int64 [N]."""
        labels = []
        counts = []
        for label, folder in self._classes(split):
            labels.append(label)
            counts.append(_count_files(str(folder), _folder_state(str(folder))))
        return np.repeat(np.array(labels, np.int64), np.array(counts, np.int64))

    def signature(self, split: SourceSplit) -> str:
        """Returns a text that changes when the files of a split do (see `files_signature`)."""
        digest = FilesDigest()
        listing = self.list_files(split, size=1)
        if listing is not None:
            for file in listing.files:
                digest.add(file.path, file.size, file.modified_ns)
        return digest.hexdigest()

    def list_files(self, split: SourceSplit, size: int) -> FileListing | None:
        """Returns the files of a split as they are now (see `ListedSource`)."""
        folder = self.train if split == "train" else self.test
        if folder is None:
            return None
        train_names = list_class_names(self.train)
        names = train_names if split == "train" else list_class_names(folder)
        files = self.__walk(folder, names, train_names)
        return FileListing(_info_of(train_names, size), folder, files)

    def read(self, split: SourceSplit, low: int, high: int, size: int) -> Batch:
        """Returns the samples at positions low to high - 1, decoded to `size` (see `Source`)."""

        def decode_file(file: str) -> np.ndarray:
            path = self.root / file
            return decode_image(_read_regular_file(path, _file_status(path)), size)

        return collect_batch(self._samples(split, low, high), self.info(size), decode_file)

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        """Returns listed files as the samples from position `low` on (see `ListedSource`)."""

        def decode_file(listed: ListedFile) -> np.ndarray:
            return decode_image(self._read_listed(listed), info.size)

        samples = []
        for index, file in enumerate(files, low):
            samples.append(UndecodedSample(index, encodable(file.path), file.label, content=file))
        return collect_batch(samples, info, decode_file)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        """Yields the files at positions low to high - 1 as they are (see `EncodedSource`)."""
        for sample in self._samples(split, low, high):
            path = self.root / sample.content
            data = _read_regular_file(path, _file_status(path))
            yield UndecodedSample(sample.index, sample.origin, sample.label, content=data)

    def _read_listed(self, listed: ListedFile) -> bytes:
        path = self.root / listed.path
        status = _file_status(path)
        if (status.st_size, status.st_mtime_ns) != (listed.size, listed.modified_ns):
            raise source_changed(listed.path)
        return _read_regular_file(path, status)

    def _samples(self, split: SourceSplit, low: int, high: int) -> Iterator[UndecodedSample[str]]:
        start = 0  # the index of the first file of the class
        for label, folder in self._classes(split):
            state = _folder_state(str(folder))
            count = _count_files(str(folder), state)
            first = max(low - start, 0)
            end = min(high - start, count)
            if first < end:
                class_path = folder.relative_to(self.root)
                files = _list_files(str(folder), state)[first:end]
                for index, file in enumerate(files, start + first):
                    path = f"{class_path}/{file}"
                    yield UndecodedSample(index, encodable(path), label, content=path)
            start += count

    def _classes(self, split: SourceSplit) -> Iterator[tuple[int, Path]]:
        """Yields the label of each class and its folder."""
        folder = self.train if split == "train" else self.test
        if folder is None:
            return
        train_names = list_class_names(self.train)
        label_of = {name: label for label, name in enumerate(train_names)}
        names = train_names if split == "train" else list_class_names(folder)
        for name in names:
            yield label_of.get(name, -1), folder / name

    def __walk(
        self, folder: Path, names: Sequence[str], train_names: Sequence[str]
    ) -> Iterator[ListedFile]:
        """Yields the files of all classes in the order of their positions."""
        label_of = {name: label for label, name in enumerate(train_names)}
        for name in names:
            class_path = (folder / name).relative_to(self.root)
            for file, entry in _walk(str(folder / name)):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    raise source_changed(f"{class_path}/{file}") from None
                yield ListedFile(
                    f"{class_path}/{file}",
                    label_of.get(name, -1),
                    size=status.st_size,
                    modified_ns=status.st_mtime_ns,
                )


def _info_of(folder_names: Sequence[str], size: int) -> SourceInfo:
    names = tuple(class_name(name) for name in folder_names)
    return SourceInfo(len(names), names, size)


def is_folder_or_link(path: Path) -> bool:
    """Returns whether a path is a folder or a link, which ClassFolders then refuses."""
    return path.is_symlink() or path.is_dir()


def list_class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the class folders in a folder, sorted.

    Folders of tools, such as `.git` and `__MACOSX`, are no classes.

    Raises:
        InputError: If one of them is a link, there are none, or there are too many.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise cannot_list(error) from None
    names = []
    for entry in entries:
        if entry.is_symlink() and entry.is_dir():
            raise InputError(
                f"class folder {shortened(encodable(entry.path))!r} is a link: "
                "put the folder itself there"
            )
        if entry.is_dir(follow_symlinks=False) and not belongs_to_tool(entry.name):
            names.append(entry.name)
    if not names:
        raise InputError(
            f"no class folders in {str(folder)!r}: "
            "there must be one folder of images for every class"
        )
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"{len(names)} class folders in {str(folder)!r}, more than {MAX_CLASSES}: "
            "there must be one folder of images for every class"
        )
    return tuple(names)


def belongs_to_tool(name: str) -> bool:
    """Returns whether a folder of this name is no class."""
    # Notebooks, version control and file managers leave such folders behind.
    return name.startswith(".") or name == "__MACOSX"


# What a folder is known by: the time of the last change of each folder below it, and its own.
FolderState = tuple[tuple[str, int, int], ...]
_states: dict[str, FolderState] = {}
_MAX_STATES = 1 << 16


def _folder_state(folder: str) -> FolderState:
    """Returns what changes when anything is added to, or taken from, a folder or one below it.

    While the folder may have changed without a sign of it, another state is returned each time.
    """
    known = _states.get(folder)
    if known is not None and _times_of([path for path, _, _ in known]) == known:
        return known
    _states.pop(folder, None)
    now_ns = time.time_ns()
    folders = [folder]
    for path in folders:  # which grows meanwhile
        for entry in _sorted_entries(path):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    state = None
    if len(folders) <= _MAX_KNOWN_FOLDERS and len(_states) < _MAX_STATES:
        state = _times_of(folders)
    if state is not None:
        newest_ns = max(max(modified, changed) for _, modified, changed in state)
        if newest_ns < now_ns - _SETTLED_NS:
            _states[folder] = state
            return state
    return ((folder, now_ns, time.monotonic_ns()),)


def _times_of(folders: Sequence[str]) -> FolderState | None:
    """Returns each folder with its times, or None if one is gone or is no folder any more."""
    times = []
    for path in folders:
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            return None
        # The time of the last modification can be set at will, that of the last change cannot.
        times.append((path, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(times)


# Listing a million files takes seconds, and reading any range of a split needs all counts.
@lru_cache(maxsize=1 << 16)
def _count_files(folder: str, state: FolderState) -> int:
    return len(_list_files(folder, state))


# A range of a split lies in few classes; the names of a whole dataset would fill the memory.
@lru_cache(maxsize=4)
def _list_files(folder: str, state: FolderState) -> tuple[str, ...]:
    """Returns the relative paths of everything below a folder but real folders, sorted.

    Links are included. `state` is `_folder_state`, so that an entry of the cache is not used after
    a change.
    """
    return tuple(path for path, _ in _walk(folder))


def _walk(folder: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yields everything below a folder but real folders: the relative path and the entry.

    They come in the order of their paths, compared part by part. No recursion: folders may be
    nested a thousand deep.
    """
    levels = [iter(_sorted_entries(folder))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif entry.is_dir(follow_symlinks=False):
            levels.append(iter(_sorted_entries(entry.path)))
        else:
            yield entry.path[len(folder) + 1 :], entry


def _sorted_entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise cannot_list(error) from None


def cannot_list(error: OSError) -> RayDefenseError:
    """Returns the error of a folder that cannot be listed."""
    folder = shortened(encodable(str(error.filename)))
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return source_changed(error.filename)
    return InputError(f"cannot list {folder!r}: {error.strerror}; make it readable or take it out")


def _file_status(file: Path) -> os.stat_result:
    try:
        return os.lstat(file)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise source_changed(file) from None
        raise DecodeError(f"cannot be looked at: {error.strerror}") from None


def _read_regular_file(file: Path, status: os.stat_result) -> bytes:
    """Returns the bytes of a file that has the given status before and after."""
    # The kind of the file is asked before it is opened, since opening blocks on a FIFO and acts on
    # a device. The flags cover the case that the file is replaced in between.
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("not a regular file (link, FIFO or device)")
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise DecodeError("no permission to read the file") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise source_changed(file) from None
        raise _cannot_read(file, error) from None
    try:
        with open(handle, "rb") as opened:
            data = opened.read(MAX_ENCODED_BYTES + 1)
            after = os.fstat(handle)
    except OSError as error:
        raise _cannot_read(file, error) from None
    if _identity(after) != _identity(status):
        raise source_changed(file)
    return data


def _cannot_read(file: Path, error: OSError) -> RunError:
    name = shortened(encodable(str(file)))
    return RunError(f"cannot read {name!r}: {error.strerror}; run again once the disk works")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
