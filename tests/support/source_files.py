"""Files that sources read: Parquet files, class folders and CIFAR archives of random pictures."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.encoded_images import random_picture, random_png


def write_parquet(
    path: Path,
    images: list[Any],
    labels: Any,
    metadata: dict[str, str] | None = None,
    row_group_size: int | None = None,
) -> Path:
    """Writes the columns `image` and `label` and returns the path."""
    table = pa.table({"image": images, "label": pa.array(labels)})
    table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def write_class_folders(root: Path, count_of_class: dict[str, int]) -> Path:
    """Writes a folder of random pictures `0.png`, `1.png`, ... for each class; returns `root`."""
    for name, count in count_of_class.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(random_png())
    return root


def write_archive(path: Path, members: dict[str, bytes]) -> str:
    """Writes a tar.gz archive and returns its MD5."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.md5(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Cifar10Members:
    """The members of an archive of CIFAR-10, and what is in them: training samples, then test."""

    members: dict[str, bytes]
    images: np.ndarray
    labels: np.ndarray


def random_cifar10_members(samples_per_member: int = 3) -> Cifar10Members:
    """Returns the six members of the binary archive with random samples."""
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    members = {}
    images = []
    labels = []
    for name in (*names, "test_batch.bin"):
        data = b""
        for _ in range(samples_per_member):
            image = random_picture()
            label = 7 * len(labels) % 10
            data += cifar_record([label], image)
            images.append(image)
            labels.append(label)
        members[f"cifar-10-batches-bin/{name}"] = data
    return Cifar10Members(members, np.stack(images), np.array(labels))


def cifar_record(labels: list[int], image: np.ndarray) -> bytes:
    """Returns one sample of a binary archive: its label bytes, then its color planes."""
    return bytes(labels) + image.transpose(2, 0, 1).tobytes()
