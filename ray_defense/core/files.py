"""Files written whole or not at all, JSON among them, and their hashes."""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ray_defense.core.config import to_plain

PART_SUFFIX = ".part"  # of a file that is being written, whose name starts with a dot


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a file whole or not at all: aside in the same directory, synced, then renamed.

    The name of the file aside is drawn, and a file that has it already is never opened: whoever
    may write to the directory could have put a link there.

    Args:
        path: The file; one that is there already is replaced.
        data: Its content.
        mode: The permissions of the file before the umask.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(aside, flags, mode)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        # A full disk must not fill up further with what could not be written.
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def remove_parts(directory: Path) -> None:
    """Removes what killed processes left half written in a directory and below."""
    for left_over in directory.rglob(f".*{PART_SUFFIX}"):
        if left_over.is_symlink() or not left_over.is_dir():
            left_over.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Makes the renames in a directory last through a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_bytes(value: Any) -> bytes:
    """Returns plain data, or a dataclass of it, as indented JSON with sorted keys."""
    text = json.dumps(to_plain(value), indent=1, sort_keys=True, allow_nan=False)
    return (text + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Writes `json_bytes(value)` whole or not at all."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Returns the JSON data of a file."""
    return json.loads(path.read_bytes())


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
