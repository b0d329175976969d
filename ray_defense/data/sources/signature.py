"""What tells that the files of a source are no longer those they were, without reading them: names, sizes, times."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def files_signature(root: Path, files: Iterable[str]) -> str:
    """Returns a hash of (path relative to `root`, bytes, time of the last change) of each file, links not followed."""
    digest = hashlib.sha256()
    for file in files:
        status = os.lstat(root / file)
        digest.update(repr((os.fsencode(file), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()
