"""CIFAR's binary archives, fetched, verified and unpacked in memory.

Source: https://www.cs.toronto.edu/~kriz/cifar.html. The binary version holds no pickle, and no
member of the archive becomes a file.
"""

import hashlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ray_defense.core.cache import cache_folder
from ray_defense.core.errors import InputError

MAX_ARCHIVE_BYTES = 2**28  # the official archives have 170 MB
MAX_MEMBER_BYTES = 2**28  # the largest member, CIFAR-100's train.bin, has 154 MB
_PIXEL_BYTES = 3 * 32 * 32
_BLOCK_BYTES = 2**20
_TIMEOUT_S = 30


@dataclass(frozen=True)
class RecordFormat:
    """How an archive stores its samples: fixed records of label bytes and three 32x32 planes."""

    train: tuple[str, ...]  # members of the archive, in order
    test: tuple[str, ...]
    label_bytes: int  # of which the last counts; CIFAR-100 has the coarse and then the fine label


@dataclass(frozen=True, eq=False)
class ArchiveSplit:
    """The samples of one split."""

    images: np.ndarray  # uint8 [N, 32, 32, 3]
    labels: np.ndarray  # int64 [N]


def fetch_archive(url: str, md5: str, remedy: str) -> Path:
    """Returns the cached file of a URL, which is downloaded and verified first if it is missing.

    Args:
        url: Where the archive is.
        md5: The checksum of the archive in hexadecimal.
        remedy: What the user can do instead, for the message of an error.

    Raises:
        InputError: If the download fails, is too large or has another checksum.
    """
    target = cache_folder() / url.rsplit("/", 1)[-1]
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as aside:
            part = Path(aside, "part")
            _download(url, part, remedy)
            _read_verified(part, md5, url)
            os.replace(part, target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot download {url} to {str(target.parent)!r} ({error}): {remedy}"
        ) from None
    return target


def _download(url: str, target: Path, remedy: str) -> None:
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response,
        open(target, "wb") as file,
    ):
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            if file.tell() > MAX_ARCHIVE_BYTES:
                raise InputError(f"{url} sends more than {MAX_ARCHIVE_BYTES} bytes: {remedy}")
        file.flush()
        os.fsync(file.fileno())


@lru_cache(maxsize=2)  # unpacking takes seconds, and every range of a split needs it
def load_archive(path: Path, md5: str, records: RecordFormat) -> dict[str, ArchiveSplit]:
    """Returns the samples of an archive by split, "train" and "test".

    Raises:
        InputError: If the archive has another checksum, or a member of it is missing or damaged.
    """
    data = _read_verified(path, md5, str(path))
    names = sorted({*records.train, *records.test})
    members = _read_members(data, names, path)
    record_bytes = records.label_bytes + _PIXEL_BYTES
    for name in names:
        size = len(members.get(name, b""))
        if size == 0 or size % record_bytes:
            raise InputError(
                f"{name} in {str(path)!r} has {size} bytes, no multiple of {record_bytes}: "
                "fetch the original"
            )
    splits = {}
    for split, split_names in (("train", records.train), ("test", records.test)):
        split_data = b"".join(members[name] for name in split_names)
        splits[split] = _parse_records(split_data, records.label_bytes)
    return splits


def _read_members(data: bytes, names: Collection[str], path: Path) -> dict[str, bytes]:
    """Returns the contents of those members of a tar.gz archive that are files, by name."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as archive:
            for member in archive:
                # A folder, a link or a sparse file is none of the members, whatever its name is.
                is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
                if member.name not in names or not is_plain or member.issparse():
                    continue
                if member.size > MAX_MEMBER_BYTES:
                    raise InputError(
                        f"{member.name} in {str(path)!r} has {member.size} bytes: "
                        "fetch the original"
                    )
                content = archive.extractfile(member)
                if content is not None:
                    members[member.name] = content.read()
    # A TypeError is what tarfile makes of a header that ends early.
    except (tarfile.TarError, OSError, EOFError, TypeError, ValueError, zlib.error) as error:
        raise InputError(
            f"cannot read {str(path)!r} as tar.gz ({error}): delete it and fetch it again"
        ) from None
    return members


def _parse_records(data: bytes, label_bytes: int) -> ArchiveSplit:
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, label_bytes + _PIXEL_BYTES)
    images = rows[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = rows[:, label_bytes - 1].astype(np.int64)
    return ArchiveSplit(np.ascontiguousarray(images), labels)


def _read_verified(path: Path, md5: str, shown_name: str) -> bytes:
    """Returns the bytes of a file; raises InputError if they have another checksum."""
    num_bytes = path.stat().st_size
    if num_bytes > MAX_ARCHIVE_BYTES:
        raise InputError(
            f"{shown_name} has {num_bytes} bytes, more than {MAX_ARCHIVE_BYTES}: it is another "
            "file; delete it and fetch it again"
        )
    data = path.read_bytes()
    actual_md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if actual_md5 != md5:
        raise InputError(
            f"{shown_name} has MD5 {actual_md5}, not {md5}: it is damaged or another file; "
            "delete it and fetch it again"
        )
    return data
