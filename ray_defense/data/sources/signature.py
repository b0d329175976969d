"""Tells that the files of a source have changed, from their names, sizes and times alone."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened


class FilesDigest:
    """The hash of the name, the size and the time of the last change of files, one by one."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, file: str, size: int, modified_ns: int) -> None:
        """Adds a file; the order of files counts."""
        self._digest.update(repr((os.fsencode(file), size, modified_ns)).encode())

    def hexdigest(self) -> str:
        """Returns the hash of all files so far."""
        return self._digest.hexdigest()


def files_signature(root: Path, files: Iterable[str]) -> str:
    """Returns a hash of the name, the size and the time of the last change of each file.

    No file is read, and links are not followed.

    Args:
        root: A folder.
        files: The paths of the files relative to `root`, which are their names; their order counts.

    Raises:
        InputError: If a file cannot be looked at, for example because it is gone.
    """
    digest = FilesDigest()
    for file in files:
        try:
            status = os.lstat(root / file)
        except OSError as error:
            raise InputError(
                f"cannot look at {shortened(encodable(str(root / file)))!r}: {error.strerror}; "
                "run again once the files of the source are at rest"
            ) from None
        digest.add(file, status.st_size, status.st_mtime_ns)
    return digest.hexdigest()
