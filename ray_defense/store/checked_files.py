"""Reads files of finished artifacts, each compared with the SHA-256 in the artifact's record.

A file is read through once a process; it is compared again when its size, time or inode has
changed. Files of artifacts that are not finished have no record, and are returned as they are.
"""

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.core.errors import DamageError
from ray_defense.core.files import file_hash
from ray_defense.store.record import RECORD, TIMING, read_record

_DEPTH = 2  # folders between a file and its record, at most: `rounds/round-001.safetensors`


@dataclass(frozen=True)
class _FileState:
    """What changes when somebody writes to a file, or puts another one in its place."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


_compared: dict[Path, _FileState] = {}  # the files that were compared, as they were then
_records: dict[Path, tuple[_FileState, dict[str, str]]] = {}  # by the directory of the artifact


def checked_file(path: Path) -> Path:
    """Returns the path of a file after it was compared with its record.

    Args:
        path: A file of an artifact.

    Raises:
        DamageError: If the file or the record is missing or damaged.
    """
    artifact = _artifact_of(path)
    if artifact is None:
        return path
    state = _file_state(path, artifact)
    if _compared.get(path) != state:
        if file_hash(path) != _recorded_hash(path, artifact):
            raise DamageError.of(path, "is damaged", artifact)
        _compared[path] = state
    return path


def read_checked_bytes(path: Path) -> bytes:
    """Returns the bytes of a file of an artifact.

    Raises:
        DamageError: As `checked_file` does.
    """
    artifact = _artifact_of(path)
    if artifact is None:
        return path.read_bytes()
    _file_state(path, artifact)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != _recorded_hash(path, artifact):
        raise DamageError.of(path, "is damaged", artifact)
    return data


def read_checked_json(path: Path) -> Any:
    """Returns the JSON data of a file of an artifact.

    Raises:
        DamageError: As `checked_file` does.
    """
    return json.loads(read_checked_bytes(path))


def hashes_of(artifact: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file of a finished artifact, by relative path with slashes.

    Raises:
        DamageError: If the record is damaged.
    """
    state = _file_state(artifact / RECORD, artifact)
    known = _records.get(artifact)
    if known is None or known[0] != state:
        files: dict[str, str] = read_record(artifact)["files"]
        known = (state, files)
        _records[artifact] = known
    return known[1]


def _artifact_of(path: Path) -> Path | None:
    """Returns the directory of the finished artifact that a file belongs to, or None."""
    for directory in path.parents[:_DEPTH]:
        if (directory / RECORD).is_file():
            return directory
    return None


def _recorded_hash(path: Path, artifact: Path) -> str:
    name = path.relative_to(artifact).as_posix()
    hashes = hashes_of(artifact)
    if name not in hashes or name in (RECORD, TIMING):
        raise DamageError.of(path, "is not in the record of its artifact", artifact)
    return hashes[name]


def _file_state(path: Path, artifact: Path) -> _FileState:
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise DamageError.of(path, "is missing", artifact) from None
    if not stat.S_ISREG(status.st_mode):  # a FIFO would block for ever
        raise DamageError.of(path, "is no regular file", artifact)
    return _FileState(
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )
