"""A suspect dataset on disk: .beton shards, the manifest that locates every sample, its classes."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.table_file import write_table
from ray_defense.store.checked_files import checked_file, read_checked_json

MANIFEST = "manifest.parquet"
REJECTED = "rejected.parquet"
DESCRIPTION = "dataset.json"
_LOCATION = {"index": pa.int64(), "shard": pa.int32(), "row": pa.int32(), "label": pa.int64()}
MANIFEST_SCHEMA = pa.schema({**_LOCATION, "sha256": pa.string(), "origin": pa.string()})
REJECTED_SCHEMA = pa.schema({"index": pa.int64(), "origin": pa.string(), "reason": pa.string()})


class SuspectDataset:
    """The manifest and the classes of a directory of shards; no pixels are read.

    Attributes:
        directory: The absolute path of the directory.
        index: The index of each sample, int64 [N], ascending.
        labels: The label of each sample as received, int64 [N].
        shard: The shard that each sample is in, int32 [N].
        row: The row of each sample in its shard, int32 [N].
        num_samples: N.
        num_shards: The highest shard number plus one.
    """

    def __init__(self, directory: Path) -> None:
        """Reads and checks the manifest.

        Raises:
            InputError: Unless it is whole: no nulls, distinct indices, rows 0, 1, ... of each
                shard once.
        """
        self.directory = Path(directory).absolute()
        table = self._read_manifest()
        self.index = table["index"].to_numpy()
        self.shard = table["shard"].to_numpy()
        self.row = table["row"].to_numpy()
        self.labels = table["label"].to_numpy()
        self._check_manifest()
        self.num_samples = len(self.index)
        self.num_shards = int(self.shard.max()) + 1

    def _read_manifest(self) -> pa.Table:
        path = checked_file(self.directory / MANIFEST)
        if not path.is_file():
            raise InputError(
                f"{str(self.directory)!r} has no {MANIFEST}, so is no dataset: ingest it again"
            )
        try:
            table = pq.read_table(path, columns=[*_LOCATION], partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"cannot read {str(path)!r} as Parquet: {error}") from None
        has_nulls = any(column.null_count for column in table.columns)
        if not table.schema.equals(pa.schema(_LOCATION)) or has_nulls or not len(table):
            raise InputError(
                f"{str(path)!r} must hold {', '.join(_LOCATION)} for one sample or more, "
                "without nulls"
            )
        return table

    def _check_manifest(self) -> None:
        order = np.lexsort((self.row, self.shard))
        _, first, count = np.unique(self.shard[order], return_index=True, return_counts=True)
        expected_rows = np.arange(len(order)) - np.repeat(first, count)
        rows_whole = np.array_equal(self.row[order], expected_rows)
        ascending = bool((np.diff(self.index) > 0).all())
        not_negative = self.index[0] >= 0 and self.shard.min() >= 0
        if not (rows_whole and ascending and not_negative):
            raise InputError(
                f"{str(self.directory / MANIFEST)!r} must have ascending indices and each row of "
                "each shard once: write it again"
            )

    @cached_property
    def _form(self) -> tuple[tuple[int, int, int], bool]:
        first = self._shard_file(int(self.shard.min()))
        return first.image_shape, first.jpeg

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, 3), read from the first shard; every other must agree."""
        return self._form[0]

    @property
    def jpeg(self) -> bool:
        """Whether images are JPEG or raw pixels, read from the first shard; all must agree."""
        return self._form[1]

    @property
    def num_bytes(self) -> int:
        """Bytes of all pixels."""
        return self.num_samples * int(np.prod(self.image_shape))

    @cached_property
    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = read_checked_json(self.directory / DESCRIPTION)
        return description

    @property
    def num_classes(self) -> int:
        """The number of classes of the source."""
        return int(self._description["num_classes"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in label order."""
        return tuple(self._description["class_names"])

    @property
    def notes(self) -> list[str]:
        """What a reader should know of the dataset: empty classes, rejected samples."""
        return list(self._description["notes"])

    def locate(self, index: np.ndarray) -> np.ndarray:
        """Returns the positions of samples in the arrays of this dataset.

        Args:
            index: Indices of samples, int [n].

        Returns:
            int64 [n].

        Raises:
            InputError: If an index is unknown.
        """
        index = np.asarray(index)
        positions = np.minimum(np.searchsorted(self.index, index), self.num_samples - 1)
        missing = index[self.index[positions] != index]
        if missing.size:
            raise InputError(
                f"index {missing[0]} is not among the {self.num_samples} samples of "
                f"{str(self.directory)!r}"
            )
        return positions

    def open_shard(self, shard: int) -> BetonFile:
        """Returns a shard by its number, its contents checked against the manifest.

        Raises:
            InputError: If there is no such shard, or it is not what the manifest says.
            DamageError: If it is not what was published.
        """
        positions = np.flatnonzero(self.shard == shard)
        if not positions.size:
            raise InputError(f"shard {shard} is not in the manifest of {str(self.directory)!r}")
        positions = positions[np.argsort(self.row[positions])]
        file = self._shard_file(shard)
        same_index = np.array_equal(file.index, self.index[positions])
        same_labels = np.array_equal(file.labels, self.labels[positions])
        same_form = file.has_index and (file.image_shape, file.jpeg) == self._form
        if not (same_index and same_labels and same_form):
            raise InputError(
                f"{str(file.path)!r} is not the shard its manifest describes: ingest again"
            )
        return file

    def _shard_file(self, shard: int) -> BetonFile:
        return BetonFile(checked_file(self.directory / shard_name(shard)))

    def read_images(self, positions: np.ndarray) -> np.ndarray:
        """Returns the images at some positions, uint8 [n, H, W, 3], in the order of `positions`."""
        images = np.empty((len(positions), *self.image_shape), np.uint8)
        shards = self.shard[positions]
        for shard in np.unique(shards):
            chosen = np.flatnonzero(shards == shard)
            rows = self.row[positions[chosen]].astype(np.int64)
            images[chosen] = self.open_shard(int(shard)).images(rows)
        return images


def shard_name(shard: int) -> str:
    """Returns the file name of shard number `shard`."""
    return f"shard-{shard:05d}.beton"


def write_shard(
    directory: Path,
    shard_number: int,
    images: np.ndarray,
    labels: np.ndarray,
    index: np.ndarray,
    origin: Sequence[str],
    jpeg_quality: int | None = None,
) -> pa.Table:
    """Writes one shard, reads it back and returns its part of the manifest, one row a sample.

    Args:
        directory: Where the shard goes; it is created if it is not there.
        shard_number: The number of the shard.
        images: uint8 [N, H, W, 3].
        labels: int64 [N].
        index: int64 [N].
        origin: Where each sample came from, N strings.
        jpeg_quality: 1 to 100 for JPEG pages, None for raw pixels.

    Returns:
        Rows of the manifest. Their hashes are of the pixels that a reader delivers, for a JPEG
        after decoding.

    Raises:
        InputError: For other shapes, types or numbers.
    """
    if isinstance(origin, str) or len(origin) != len(images):
        raise InputError(f"origin must hold one string for each of {len(images)} images")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / shard_name(shard_number)
    write_beton(path, images, labels, index, jpeg_quality=jpeg_quality)
    file = BetonFile(path)
    rows = np.arange(len(images), dtype=np.int32)
    hashes = [hashlib.sha256(file.images(row).data).hexdigest() for row in rows[:, None]]
    columns = {
        "index": index,
        "shard": np.full(len(images), shard_number, np.int32),
        "row": rows,
        "label": labels,
        "sha256": hashes,
        "origin": [_encodable(text) for text in origin],
    }
    return pa.table(columns, MANIFEST_SCHEMA)


def write_manifest(directory: Path, parts: Sequence[pa.Table]) -> None:
    """Writes the manifest, by ascending index, whole or not at all.

    Args:
        directory: The directory of the shards.
        parts: What `write_shard` returned for each of them, in any order.

    Raises:
        InputError: If there is no part, or an index occurs twice.
    """
    if not parts:
        raise InputError("a manifest needs at least one shard: no sample was accepted")

    def first_index(part: pa.Table) -> int:
        return part["index"][0].as_py() if len(part) else -1

    table = pa.concat_tables(sorted(parts, key=first_index)).cast(MANIFEST_SCHEMA)
    if (np.diff(table["index"].to_numpy()) < 0).any():
        table = table.sort_by("index")  # a copy of all of it, which shards of ranges do without
    index = table["index"].to_numpy()
    repeated = index[1:][np.diff(index) == 0]
    if repeated.size:
        raise InputError(
            f"index {repeated[0]} occurs twice in the shards: give every sample its own"
        )
    write_table(Path(directory) / MANIFEST, table)
    pa.default_memory_pool().release_unused()  # some hundred bytes a sample that Arrow would keep


def write_rejected(
    directory: Path, index: Sequence[int], origin: Sequence[str], reason: Sequence[str]
) -> None:
    """Writes which samples were not accepted, where each came from and why, by ascending index."""
    columns = {
        "index": index,
        "origin": [_encodable(text) for text in origin],
        "reason": [_encodable(text) for text in reason],
    }
    table = pa.table(columns, REJECTED_SCHEMA).sort_by("index")
    write_table(Path(directory) / REJECTED, table)


def _encodable(text: str) -> str:
    # A file name need not be valid UTF-8, a Parquet string must.
    return text.encode("utf-8", "backslashreplace").decode()
