"""Folders of image files, one folder a class, as numbered samples; only regular files are opened.

A few classes are listed at a time, so what stays in memory is one number for each class.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ray_defense.core.errors import InputError, RayDefenseError
from ray_defense.data.decode import DecodedImage, DecodeError, decode_recorded
from ray_defense.data.limits import MAX_CLASSES, MAX_PIXELS, max_encoded_bytes
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.followed_links import (
    FollowedLinks,
    check_followed,
    reason_of_link,
)
from ray_defense.data.sources.image_names import is_image_name
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.sources.listing import FileListing, ListedFile, source_changed
from ray_defense.data.sources.protocol import Batch, SourceInfo, SourceSplit
from ray_defense.data.sources.regular_file import read_regular_file
from ray_defense.data.sources.signature import FilesDigest
from ray_defense.data.text import class_name, encodable, shortened

# A folder that changed this shortly before it was listed may change again without a sign of it:
# the times of some file systems are whole seconds, of FAT even ones.
_SETTLED_NS = 2_500_000_000
_MAX_KNOWN_FOLDERS = 10_000  # below one class, whose times are kept


@dataclass(frozen=True)
class ClassFolders:
    """The training and the test folder of a dataset, each of which holds a folder for every class.

    The samples are all files below the class folders but junk (see `is_junk`); files are sorted by
    name, classes too, or as numbers if the names of all are numbers. A link, FIFO or device among
    the files is rejected unopened, and a folder that is a link raises InputError, unless links are
    followed there. A sample of a class that only the test set has gets the label -1.
    """

    root: Path  # the paths of samples are relative to it
    train: Path
    test: Path | None  # None: there is no test set
    leaves: bool = False  # each folder that holds images is a class, at any depth
    links: FollowedLinks | None = None  # those that are followed; None: none is
    max_pixels: int = MAX_PIXELS  # of an image before it is resized

    def __post_init__(self) -> None:
        for folder in (self.train, self.test):
            if folder is not None and folder != self.root and folder.is_symlink():
                check_followed(str(folder), "folder", self.links)

    def info(self, size: int) -> SourceInfo:
        """Returns the classes of the training set, and `size`, to which images are resized."""
        return _info_of(self.class_names(self.train), size)

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """Returns the paths of the class folders in the training or the test folder, in order."""
        if self.leaves:
            return list_leaf_names(folder)
        return list_class_names(folder, self.links)

    def check_test_classes(self) -> None:
        """Raises InputError if the test set has no class of the training set."""
        if self.test is None:
            return
        train_names = self.class_names(self.train)
        test_names = self.class_names(self.test)
        if not {*train_names} & {*test_names}:
            raise InputError(
                f"no class of {str(self.train)!r} ({first_few(train_names)}) is in "
                f"{str(self.test)!r} ({first_few(test_names)}): sort the test images into folders "
                "of the same names, or move them away"
            )

    def labels(self, split: SourceSplit) -> np.ndarray:
        """Returns the labels of a split, int64 [N]."""
        labels = []
        counts = []
        for label, folder in self._classes(split):
            labels.append(label)
            counts.append(_count_files(folder.walked, _folder_state(folder.walked), self.deep))
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
        info = self.info(size)
        return FileListing(info, folder, self.__walk(split))

    def read(self, split: SourceSplit, low: int, high: int, size: int) -> Batch:
        """Returns the samples at positions low to high - 1, decoded to `size` (see `Source`)."""

        def decode_file(file: str) -> DecodedImage:
            return decode_recorded(self._read(file, listed=None), size, self.max_pixels)

        return collect_batch(self._samples(split, low, high), self.info(size), decode_file)

    def read_files(self, files: Sequence[ListedFile], low: int, info: SourceInfo) -> Batch:
        """Returns listed files as the samples from position `low` on (see `ListedSource`)."""

        def decode_file(listed: ListedFile) -> DecodedImage:
            return decode_recorded(self._read(listed.path, listed), info.size, self.max_pixels)

        samples = []
        for index, file in enumerate(files, low):
            samples.append(UndecodedSample(index, encodable(file.path), file.label, content=file))
        return collect_batch(samples, info, decode_file)

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        """Yields the files at positions low to high - 1 as they are (see `EncodedSource`)."""
        for sample in self._samples(split, low, high):
            data = self._read(sample.content, None)
            yield UndecodedSample(sample.index, sample.origin, sample.label, content=data)

    def _read(self, file: str, listed: ListedFile | None) -> bytes:
        """Returns the bytes of a file, which is compared with its entry if it was listed."""
        path = self.root / file
        max_bytes = max_encoded_bytes(self.max_pixels)
        target = self._link_target(file)
        status = _file_status(path if target is None else Path(target))
        if listed is not None:
            if (status.st_size, status.st_mtime_ns) != (listed.size, listed.modified_ns):
                raise source_changed(file)
        if target is not None and self.links is not None:
            open_file = partial(self.links.open, target)
            return read_regular_file(path, status, open_file, max_bytes=max_bytes)
        if stat.S_ISLNK(status.st_mode):
            raise DecodeError(reason_of_link(self.links))
        return read_regular_file(path, status, partial(os.open, path), max_bytes=max_bytes)

    def _link_target(self, file: str) -> str | None:
        """Returns where a file lies to which a link leads that is followed, else None."""
        if self.links is None:
            return None
        target = self.links.target(str(self.root / file))
        return None if target == os.path.join(os.path.realpath(self.root), file) else target

    def _samples(self, split: SourceSplit, low: int, high: int) -> Iterator[UndecodedSample[str]]:
        start = 0  # the index of the first file of the class
        for label, folder in self._classes(split):
            state = _folder_state(folder.walked)
            count = _count_files(folder.walked, state, self.deep)
            first = max(low - start, 0)
            end = min(high - start, count)
            if first < end:
                files = _list_files(folder.walked, state, self.deep)[first:end]
                for index, file in enumerate(files, start + first):
                    path = f"{folder.path}/{file}"
                    yield UndecodedSample(index, encodable(path), label, content=path)
            start += count

    @property
    def deep(self) -> bool:
        """Whether the samples of a class lie at any depth below its folder."""
        return not self.leaves

    def _classes(self, split: SourceSplit) -> "Iterator[tuple[int, _ClassFolder]]":
        """Yields the label of each class and its folder."""
        folder = self.train if split == "train" else self.test
        if folder is None:
            return
        train_names = self.class_names(self.train)
        label_of = {name: label for label, name in enumerate(train_names)}
        names = train_names if split == "train" else self.class_names(folder)
        for name in names:
            path = folder / name
            walked = str(path)
            if self.links is not None and path.is_symlink():
                walked = check_followed(walked, "class folder", self.links)
            class_folder = _ClassFolder(str(path.relative_to(self.root)), walked)
            yield label_of.get(name, -1), class_folder

    def __walk(self, split: SourceSplit) -> Iterator[ListedFile]:
        """Yields the files of all classes in the order of their positions."""
        for label, folder in self._classes(split):
            for file, entry in _walk(folder.walked, self.deep):
                try:
                    status = self._status_of(entry)
                except FileNotFoundError:
                    raise source_changed(f"{folder.path}/{file}") from None
                yield ListedFile(
                    f"{folder.path}/{file}",
                    label,
                    size=status.st_size,
                    modified_ns=status.st_mtime_ns,
                )

    def _status_of(self, entry: "os.DirEntry[str]") -> os.stat_result:
        if self.links is not None and entry.is_symlink():
            target = self.links.target(entry.path)
            if target is not None:
                return os.lstat(target)
        return entry.stat(follow_symlinks=False)


@dataclass(frozen=True)
class _ClassFolder:
    """A class folder."""

    path: str  # relative to the root of the source
    walked: str  # where its files are listed: its path, or where that leads to


def _info_of(folder_names: Sequence[str], size: int) -> SourceInfo:
    names = tuple(class_name(name) for name in folder_names)
    return SourceInfo(len(names), names, size)


def is_folder_or_link(path: Path) -> bool:
    """Returns whether a path is a folder or a link, which ClassFolders then refuses."""
    return path.is_symlink() or path.is_dir()


def first_few(names: Sequence[str]) -> str:
    """Returns the first names of class folders, for a message."""
    text = ", ".join(repr(shortened(encodable(name), 40)) for name in names[:3])
    return text + ", ..." if len(names) > 3 else text


def list_class_names(folder: Path, links: FollowedLinks | None = None) -> tuple[str, ...]:
    """Returns the names of the class folders in a folder, in the order of their labels.

    Args:
        folder: The training or the test folder.
        links: The links that are followed.

    Raises:
        InputError: If one of them is a link that is not followed, there are none, or too many.
    """
    names = []
    for entry in sorted_entries(str(folder)):
        if entry.is_symlink() and entry.is_dir():
            check_followed(entry.path, "class folder", links)
            names.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            names.append(entry.name)
    return _checked_names(folder, names)


def list_leaf_names(folder: Path) -> tuple[str, ...]:
    """Returns the relative paths of all folders that hold images, in the order of their labels.

    Raises:
        InputError: If there are none, or too many.
    """
    names = []
    for path in folders_with_images(str(folder)):
        if path != str(folder):
            names.append(path[len(str(folder)) + 1 :])
    return _checked_names(folder, names)


def folders_with_images(folder: str) -> Iterator[str]:
    """Yields a folder and all below it in which images lie directly, breadth first."""
    folders = [folder]
    for path in folders:  # which grows meanwhile
        has_images = False
        for entry in sorted_entries(path):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                has_images = has_images or is_image_name(entry.name)
        if has_images:
            yield path


def _checked_names(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
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
    if are_numbers(names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names, key=lambda name: name.split("/")))


def are_numbers(names: Sequence[str]) -> bool:
    """Returns whether the names of all classes are numbers, which then order them."""
    return all(name.isascii() and name.isdigit() for name in names)


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
        for entry in sorted_entries(path):
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
def _count_files(folder: str, state: FolderState, deep: bool) -> int:
    return len(_list_files(folder, state, deep))


# A range of a split lies in few classes; the names of a whole dataset would fill the memory.
@lru_cache(maxsize=4)
def _list_files(folder: str, state: FolderState, deep: bool) -> tuple[str, ...]:
    """Returns the relative paths of everything below a folder but junk and real folders, sorted.

    Links are included, and what lies in folders below it if `deep`. `state` is `_folder_state`, so
    that an entry of the cache is not used after a change.
    """
    return tuple(path for path, _ in _walk(folder, deep))


def _walk(folder: str, deep: bool) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yields everything below a folder but junk and real folders: the relative path and the entry.

    They come in the order of their paths, compared part by part. No recursion: folders may be
    nested a thousand deep.
    """
    levels = [iter(sorted_entries(folder))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif entry.is_dir(follow_symlinks=False):
            if deep:
                levels.append(iter(sorted_entries(entry.path)))
        else:
            yield entry.path[len(folder) + 1 :], entry


def sorted_entries(folder: str) -> "list[os.DirEntry[str]]":
    """Returns everything in a folder but junk, by name."""
    return sorted(entries_but_junk(folder), key=lambda entry: entry.name)


def entries_but_junk(folder: str) -> "Iterator[os.DirEntry[str]]":
    """Yields everything in a folder but junk, in any order."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_junk(entry.name):
                    yield entry
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
