"""Files written whole or not at all, JSON among them, and their hashes."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ray_defense.core.config import to_plain


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a file whole or not at all: aside in the same directory, synced, then renamed.

    Args:
        path: The file; one that is there already is replaced.
        data: Its content.
        mode: The permissions of the file before the umask.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


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
