"""CIFAR's binary archive (https://www.cs.toronto.edu/~kriz/cifar.html), fetched, verified and read in memory.

There is no pickle in it, and no member becomes a file.
"""

import hashlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.request
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ray_defense.core.cache import cache_folder
from ray_defense.core.errors import Refused

MAX_ARCHIVE_BYTES = 2**28  # the official ones have 170 MB
MAX_MEMBER_BYTES = 2**28  # the largest, CIFAR-100's train.bin, has 154 MB
_PIXEL_BYTES = 3 * 32 * 32
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Records:
    """Fixed records of label bytes, of which the last one counts (CIFAR-100: coarse, fine), and 3 planes of 32x32."""

    train: tuple[str, ...]  # members of the archive, in order
    test: tuple[str, ...]
    label_bytes: int


def fetch(url: str, md5: str, remedy: str) -> Path:
    """Returns the cached file of `url`, downloaded aside and verified first where it is not there; raises Refused."""
    target = cache_folder() / url.rsplit("/", 1)[-1]
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as aside:
            part = Path(aside, "part")
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, open(part, "wb") as file:
                while block := response.read(2**20):
                    file.write(block)
                    if file.tell() > MAX_ARCHIVE_BYTES:
                        raise Refused(f"{url} sends more than {MAX_ARCHIVE_BYTES} bytes: {remedy}")
                file.flush()
                os.fsync(file.fileno())
            _verified(part, md5, url)
            os.replace(part, target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refused(f"cannot download {url} to {str(target.parent)!r} ({error}): {remedy}") from None
    return target


@lru_cache(maxsize=2)  # unpacking takes seconds, and every range of the index needs it
def load(path: Path, md5: str, records: Records) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns for each split uint8 [N, 32, 32, 3] and int64 [N]; Refused for a wrong checksum, member or size."""
    data = _verified(path, md5, str(path))
    wanted = sorted({*records.train, *records.test})
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
            for member in archive:
                if member.name in wanted and member.isfile():
                    if member.size > MAX_MEMBER_BYTES:
                        raise Refused(f"{member.name} in {str(path)!r} has {member.size} bytes: fetch the original")
                    found[member.name] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise Refused(f"cannot read {str(path)!r} as tar.gz ({error}): delete it and fetch it again") from None
    record = records.label_bytes + _PIXEL_BYTES
    for name in wanted:
        size = len(found.get(name, b""))
        if size == 0 or size % record:
            raise Refused(f"{name} in {str(path)!r} has {size} bytes, no multiple of {record}: fetch the original")
    return {
        split: _split(b"".join(found[name] for name in names), records.label_bytes)
        for split, names in (("train", records.train), ("test", records.test))
    }


def _split(data: bytes, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, label_bytes + _PIXEL_BYTES)
    images = rows[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, label_bytes - 1].astype(np.int64)


def _verified(path: Path, md5: str, what: str) -> bytes:
    data = path.read_bytes()
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise Refused(f"{what} has MD5 {found}, not {md5}: it is damaged or another file; delete it and fetch it again")
    return data
