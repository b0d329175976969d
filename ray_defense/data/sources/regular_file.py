"""Reads files that a stranger may exchange at any moment: regular ones, unchanged, or none."""

import errno
import os
import stat
from collections.abc import Callable

from ray_defense.core.errors import RunError
from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.listing import source_changed
from ray_defense.data.text import encodable, shortened


def read_regular_file(
    file: object, status: os.stat_result, open_file: Callable[[int], int], *, max_bytes: int
) -> bytes:
    """Returns the bytes of a file that has the given status before and after.

    The flags with which it is opened keep the process from blocking on what replaced it meanwhile.
    If there are more than `max_bytes`, one more than these comes.

    Args:
        file: Its path, for messages.
        status: That of the file.
        open_file: Opens it with the flags that it is given, and returns the descriptor.
        max_bytes: How many bytes an image may have.

    Raises:
        DecodeError: If it is no regular file, or may not be read.
        RunError: If it is not as it was, or the disk fails.
    """
    # The kind of the file is asked before it is opened, since opening blocks on a FIFO and acts on
    # a device. The flags cover the case that the file is replaced in between.
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("not a regular file (folder, FIFO or device)")
    try:
        handle = open_file(os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise DecodeError("no permission to read the file") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise source_changed(file) from None
        raise cannot_read(file, error) from None
    try:
        with open(handle, "rb") as opened:
            data = opened.read(max_bytes + 1)
            after = os.fstat(handle)
    except OSError as error:
        raise cannot_read(file, error) from None
    if identity_of(after) != identity_of(status):
        raise source_changed(file)
    return data


def cannot_read(file: object, error: OSError) -> RunError:
    """Returns the error of a file or folder that the disk does not give."""
    name = shortened(encodable(str(file)))
    return RunError(f"cannot read {name!r}: {error.strerror}; run again once the disk works")


def identity_of(status: os.stat_result) -> tuple[int, ...]:
    """Returns what tells whether a file has been replaced or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
