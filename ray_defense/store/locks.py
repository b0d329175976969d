"""The lock of an artifact: one process makes it, the others wait and are told for whom."""

import contextlib
import getpass
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ray_defense.core.errors import RunError
from ray_defense.core.progress import report_progress

try:
    import fcntl
except ImportError:  # Linux and macOS have it
    fcntl = None  # type: ignore[assignment]

_FIRST_POLL_S = 0.01
_MAX_POLL_S = 0.25
_NOTE_EVERY_S = 30.0
_MAX_HOLDER_BYTES = 1000


@contextlib.contextmanager
def held_lock(path: Path, task: str) -> Iterator[None]:
    """Holds a lock for the body; while somebody else holds it, waits and says who does.

    Nobody may lock the file without the right to write to its folder: it is readable and writable
    for those only who may also write to the folder. A link in its place is not followed.

    Args:
        path: The file of the lock, which is made and stays.
        task: For the progress display.

    Raises:
        RunError: If the file cannot be opened, or is not a file of its own.
    """
    handle = _open_lock(path)
    try:
        _wait_for_lock(handle, task)
        _write_holder(handle)
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        permissions = _lock_permissions(path.parent)
        handle = os.open(path, flags, permissions)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            os.close(handle)
            raise RunError(f"{path} is not a lock file of its own: remove it and run again")
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != permissions:
            os.fchmod(handle, permissions)  # the umask took some, or an older version gave more
    except OSError as error:
        raise RunError(
            f"cannot open the lock {path}: {error.strerror}; if it is a link, remove it, "
            "otherwise make the store writable, and run again"
        ) from None
    return handle


def _lock_permissions(folder: Path) -> int:
    mode = folder.stat().st_mode
    permissions = stat.S_IRUSR | stat.S_IWUSR
    if mode & stat.S_IWGRP:
        permissions |= stat.S_IRGRP | stat.S_IWGRP
    if mode & stat.S_IWOTH:
        permissions |= stat.S_IROTH | stat.S_IWOTH
    return permissions


def _wait_for_lock(handle: int, task: str) -> None:
    if fcntl is None:
        note = "this system has no file locks: let one command at a time work on a store"
        report_progress(task, 0, 1, note=note)
        return
    start = time.monotonic()
    next_note_s = 0.0
    poll_s = _FIRST_POLL_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - start
            if waited_s >= next_note_s:
                note = f"waiting for {_describe_holder(handle)}"
                if next_note_s:
                    note += f", {waited_s:.0f} s so far"
                report_progress(task, 0, 1, note=note)
                next_note_s += _NOTE_EVERY_S
            time.sleep(poll_s)
            poll_s = min(2 * poll_s, _MAX_POLL_S)
        else:
            return


def _write_holder(handle: int) -> None:
    """Writes who holds the lock, for those who wait; a full disk is no reason not to work."""
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "user": _user_name(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)


def _describe_holder(handle: int) -> str:
    """Returns the holder in words; whatever else stands in the file is left out."""
    try:
        holder = json.loads(os.pread(handle, _MAX_HOLDER_BYTES, 0))
        pid = int(holder["pid"])
        host = str(holder["host"])
        user = str(holder["user"])
        since = datetime.fromisoformat(holder["since"])
    except (ValueError, TypeError, KeyError, OSError, RecursionError):
        return "another run of it"
    return f"process {pid} of {user} on {host}, which makes it since {since:%Y-%m-%d %H:%M:%S} UTC"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"user {os.geteuid()}"
