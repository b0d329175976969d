"""The record of a finished artifact: what it was made from, and the SHA-256 of each of its files.

The record is written last, so a directory with a record is complete, and it is sealed.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ray_defense.core.errors import DamageError
from ray_defense.core.sealed import open_sealed_json, read_sealed_json, write_sealed_json

RECORD = "config.json"
TIMING = "timing.json"  # not in the record: two equal runs differ in it
SCRATCH = "scratch"  # checkpoints and progress of a stage under way; gone once it is published


def is_hidden(name: str) -> bool:
    """Returns whether a file is not part of an artifact, by its relative path.

    File systems and editors put files and folders there whose names start with a dot.
    """
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def write_record(directory: Path, described: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Writes the record of an artifact.

    Args:
        directory: Of the artifact.
        described: Its stage, key, configuration and inputs.
        files: The SHA-256 of each of its files, by relative path with slashes.
    """
    write_sealed_json(directory / RECORD, {**described, "files": dict(files)})


def read_record(directory: Path) -> dict[str, Any]:
    """Returns the record of a finished artifact.

    Raises:
        DamageError: If it is not what was written.
    """
    return read_sealed_json(directory / RECORD, remove=directory)


def read_timing(directory: Path) -> dict[str, Any]:
    """Returns how long a finished artifact took ("seconds"), and with which "versions".

    Raises:
        DamageError: If it is not what was written.
    """
    return read_sealed_json(directory / TIMING, remove=directory)


def recorded_files(data: bytes, stage: str, key: str, *, file: str, remove: str) -> dict[str, str]:
    """Returns the SHA-256 of each file of an artifact, from the bytes of its record.

    Args:
        data: The bytes of the record.
        stage: The stage of the artifact.
        key: Its key.
        file: What the message calls the record.
        remove: What the user has to remove where it is damaged.

    Raises:
        DamageError: If the record is not what was written, is of another artifact, or names files
            outside of the artifact.
    """
    record = open_sealed_json(data, file, remove)
    if (record.get("stage"), record.get("key")) != (stage, key):
        raise DamageError.of(file, f"is not the record of {stage}/{key}", remove)
    files: dict[str, str] = record["files"]
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise DamageError.of(file, f"names {name!r}, a file outside of {stage}/{key}", remove)
    return files
