"""Files that notice damage: their content stands behind its SHA-256.

A sealed file is a mark, the 32 bytes of the SHA-256 of its content, and the content. A sealed JSON
file is an object whose key "digest" holds the SHA-256 of the file without that key.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_defense.core.errors import DamageError
from ray_defense.core.files import json_bytes, write_bytes

SEALED_SUFFIX = ".sealed"
DIGEST = "digest"
_MARK = b"ray_defense sealed file 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size


def seal_bytes(content: bytes) -> bytes:
    """Returns the bytes of a sealed file."""
    return _MARK + hashlib.sha256(content).digest() + content


def open_sealed(data: bytes, file: object, remove: object) -> bytes:
    """Returns the content of a sealed file.

    Args:
        data: The bytes of the file.
        file: What the message calls the file.
        remove: What the user has to remove where the file is damaged.

    Raises:
        DamageError: If the bytes are not those that were written.
    """
    start = len(_MARK) + _DIGEST_BYTES
    digest = data[len(_MARK) : start]
    content = data[start:]
    if not data.startswith(_MARK) or digest != hashlib.sha256(content).digest():
        raise DamageError.of(file, "is damaged", remove)
    return content


def write_sealed(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Writes a sealed file, whole or not at all."""
    write_bytes(path, seal_bytes(content), mode)


def read_sealed(path: Path, remove: Path | None = None) -> bytes:
    """Returns the content of a sealed file.

    Args:
        path: The file.
        remove: What the user has to remove where it is damaged; None for the file itself.

    Raises:
        DamageError: If the file is missing, or is not what was written.
    """
    return open_sealed(_read_present(path, remove), path, remove or path)


def seal_json(value: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a sealed JSON file that holds an object."""
    digest = hashlib.sha256(json_bytes(value)).hexdigest()
    return json_bytes({**value, DIGEST: digest})


def open_sealed_json(data: bytes, file: object, remove: object) -> dict[str, Any]:
    """Returns the object in a sealed JSON file, without its digest.

    Args:
        data: The bytes of the file.
        file: What the message calls the file.
        remove: What the user has to remove where the file is damaged.

    Raises:
        DamageError: If the bytes are not those that were written, be it by a space.
    """
    try:
        value = json.loads(data)
        value.pop(DIGEST)
        is_whole = seal_json(value) == data
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise DamageError.of(file, "is damaged", remove)
    opened: dict[str, Any] = value
    return opened


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a sealed JSON file, whole or not at all."""
    write_bytes(path, seal_json(value))


def read_sealed_json(path: Path, remove: Path | None = None) -> dict[str, Any]:
    """Returns the object in a sealed JSON file, without its digest.

    Args:
        path: The file.
        remove: What the user has to remove where it is damaged; None for the file itself.

    Raises:
        DamageError: If the file is missing, or is not what was written.
    """
    return open_sealed_json(_read_present(path, remove), path, remove or path)


def _read_present(path: Path, remove: Path | None) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DamageError.of(path, "is missing", remove or path.parent) from None
