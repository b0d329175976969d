"""Regular files below a folder by relative paths that a stranger wrote; no link is followed."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.listing import source_changed
from ray_defense.data.sources.regular_file import cannot_read, identity_of, read_regular_file

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_PARTS = 64


def status_below(root: Path, path: str) -> os.stat_result:
    """Returns the status of a regular file below a folder.

    Raises:
        DecodeError: If there is none at that path, or it lies elsewhere or behind a link.
    """
    with _folder_of(root, path) as (folder, name):
        return _status_in(folder, name)


def read_below(root: Path, path: str, status: os.stat_result, max_bytes: int) -> bytes:
    """Returns the bytes of a regular file below a folder; at most one more than allowed.

    Args:
        root: The folder.
        path: The path relative to it.
        status: That of the file, as `status_below` returns it.
        max_bytes: How many it may have.

    Raises:
        DecodeError: If the file cannot be read, or lies elsewhere or behind a link.
        RunError: If it is not as it was, or the disk fails.
    """
    with _folder_of(root, path) as (folder, name):
        if identity_of(_status_in(folder, name)) != identity_of(status):
            raise source_changed(path)
        open_file = partial(os.open, name, dir_fd=folder)
        return read_regular_file(path, status, open_file, max_bytes=max_bytes)


def relative_path(root: Path, path: str) -> str:
    """Returns a path relative to the folder that it is said to lie in.

    Raises:
        DecodeError: If it leads out of the folder, or nowhere.
    """
    if os.path.isabs(path):
        prefix = f"{str(root).rstrip('/')}/"
        if not path.startswith(prefix):
            raise DecodeError("the path leads out of the folder")
        path = path[len(prefix) :]
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise DecodeError("the path leads out of the folder")
    if not parts or "\0" in path or len(parts) > _MAX_PARTS:
        raise DecodeError("no path of a file")
    return "/".join(parts)


@contextmanager
def _folder_of(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Opens the folder of a file, part by part; yields its descriptor and the name of the file."""
    *folders, name = relative_path(root, path).split("/")
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_read(root, error) from None
    try:
        for folder in folders:
            try:
                inner = os.open(folder, _FOLDER_FLAGS, dir_fd=handle)
            except OSError as error:
                raise _no_file(error) from None
            os.close(handle)
            handle = inner
        yield handle, name
    finally:
        os.close(handle)


def _status_in(folder: int, name: str) -> os.stat_result:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise _no_file(error) from None
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("not a regular file (link, folder, FIFO or device)")
    return status


def _no_file(error: OSError) -> DecodeError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return DecodeError("lies behind a link, or below a file")
    return DecodeError(f"cannot be opened: {error.strerror}")
