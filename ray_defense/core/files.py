"""Files written whole or not at all, JSON among them, and the hash of one."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ray_defense.core.config import to_plain


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a file whole or not at all: aside in the same directory, synced, renamed; `mode` is before the umask."""
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


def write_json(path: Path, value: Any) -> None:
    """Writes plain data as indented JSON with sorted keys, whole or not at all."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Returns plain data as indented JSON with sorted keys."""
    return (json.dumps(to_plain(value), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Returns the JSON data of a file."""
    return json.loads(path.read_bytes())


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
