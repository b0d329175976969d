"""A suspect dataset on disk: a directory of .beton shards, the manifest that locates every sample, and its readers."""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ray_defense.core.checks import at_least
from ray_defense.core.errors import Refused, unknown
from ray_defense.core.files import write_bytes
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.execution.protocols import Backend

MANIFEST, REJECTED = "manifest.parquet", "rejected.parquet"
LOCATION = {"index": pa.int64(), "shard": pa.int32(), "row": pa.int32(), "label": pa.int64()}
MANIFEST_SCHEMA = pa.schema(LOCATION | {"sha256": pa.string(), "origin": pa.string()})
REJECTED_SCHEMA = pa.schema({"index": pa.int64(), "origin": pa.string(), "reason": pa.string()})


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
    """Writes one shard, reads it back and returns its part of the manifest, one row a sample; twice gives the same bytes.

    `images` is uint8 [N, H, W, 3], `labels` and `index` are int64 [N], `origin` (N strings) says where each came from;
    `jpeg_quality` is 1 to 100, or None for raw pixels. The hashes are of the pixels that a reader delivers: those of a
    JPEG after decoding. Raises Refused for other shapes, types or numbers.
    """
    if isinstance(origin, str) or len(origin) != len(images):
        raise Refused(f"origin must hold one string for each of {len(images)} images")
    Path(directory).mkdir(parents=True, exist_ok=True)
    path = Path(directory) / shard_name(shard_number)
    write_beton(path, images, labels, index, jpeg_quality)
    file, rows = BetonFile(path), np.arange(len(images), dtype=np.int32)
    columns = {
        "index": index,
        "shard": np.full(len(images), shard_number, np.int32),
        "row": rows,
        "label": labels,
        "sha256": [hashlib.sha256(file.images(row)).hexdigest() for row in rows[:, None]],
        "origin": [_printable(text) for text in origin],
    }
    return pa.table(columns, MANIFEST_SCHEMA)


def write_manifest(directory: Path, parts: Sequence[pa.Table]) -> None:
    """Writes the manifest of the `parts` that write_shard returned, by ascending index, whole or not at all.

    The order of `parts` does not matter. Raises Refused if no part is given or an index occurs twice.
    """
    if not parts:
        raise Refused("a manifest needs at least one shard: no sample was accepted")
    table = pa.concat_tables(sorted(parts, key=lambda part: part["index"][0].as_py() if len(part) else -1)).cast(
        MANIFEST_SCHEMA
    )
    if (np.diff(table["index"].to_numpy()) < 0).any():
        table = table.sort_by("index")  # a copy of all of it, which shards of ranges do without
    index = table["index"].to_numpy()
    twice = index[1:][np.diff(index) == 0]
    if twice.size:
        raise Refused(f"index {twice[0]} occurs twice in the shards: give every sample its own")
    write_table(Path(directory) / MANIFEST, table)
    pa.default_memory_pool().release_unused()  # some hundred bytes a sample that Arrow would keep


def write_rejected(directory: Path, index: Sequence[int], origin: Sequence[str], reason: Sequence[str]) -> None:
    """Writes the samples that were not accepted (index, where each came from, why), by ascending index."""
    columns = {"index": index, "origin": [*map(_printable, origin)], "reason": [*map(_printable, reason)]}
    write_table(Path(directory) / REJECTED, pa.table(columns, REJECTED_SCHEMA).sort_by("index"))


def _printable(text: str) -> str:
    # a file name need not be valid UTF-8, a Parquet string must
    return text.encode("utf-8", "backslashreplace").decode()


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table as Parquet with deterministic bytes, whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


class ShardSet:
    """The manifest of a directory of shards, by ascending index; no pixels are read.

    `index`, `labels` (int64), `shard` and `row` (int32) are [N]; `num_shards` is the highest shard number plus one.
    Raises Refused unless the manifest is whole: no nulls, distinct indices, rows 0, 1, ... of each shard once.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory).absolute()
        path = self.directory / MANIFEST
        if not path.is_file():
            raise Refused(f"{str(self.directory)!r} has no {MANIFEST}, so is no dataset: run the shard stage again")
        try:
            table = pq.read_table(path, columns=[*LOCATION], partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise Refused(f"cannot read {str(path)!r} as Parquet: {error}") from None
        nulls = any(column.null_count for column in table.columns)
        if not table.schema.equals(pa.schema(LOCATION)) or nulls or not len(table):
            raise Refused(f"{str(path)!r} must hold {', '.join(LOCATION)} for one sample or more, without nulls")
        self.index, self.shard, self.row, self.labels = (table[name].to_numpy() for name in LOCATION)
        order = np.lexsort((self.row, self.shard))
        _, first, count = np.unique(self.shard[order], return_index=True, return_counts=True)
        rows_whole = np.array_equal(self.row[order], np.arange(len(order)) - np.repeat(first, count))
        if not (rows_whole and self.index[0] >= 0 and (np.diff(self.index) > 0).all() and self.shard.min() >= 0):
            raise Refused(f"{str(path)!r} must have ascending indices and each row of each shard once: write it again")
        self.num_samples = len(self.index)
        self.num_shards = int(self.shard.max()) + 1

    @cached_property
    def _form(self) -> tuple[tuple[int, int, int], bool]:
        first = BetonFile(self.directory / shard_name(int(self.shard.min())))
        return first.image_shape, first.jpeg

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, 3), read from the first shard; every other must agree."""
        return self._form[0]

    @property
    def jpeg(self) -> bool:
        """Whether images are stored as JPEG or as raw pixels, read from the first shard; every other must agree."""
        return self._form[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return self.num_samples * int(np.prod(self.image_shape))

    def locate(self, index: np.ndarray) -> np.ndarray:
        """Returns the positions (int64 [n]) of `index` (int [n]) in these arrays; raises Refused for an unknown one."""
        index = np.asarray(index)
        positions = np.minimum(np.searchsorted(self.index, index), self.num_samples - 1)
        missing = index[self.index[positions] != index]
        if missing.size:
            raise Refused(f"index {missing[0]} is not among the {self.num_samples} samples of {str(self.directory)!r}")
        return positions

    def open(self, shard: int) -> BetonFile:
        """Returns shard number `shard`, checked; raises Refused if its contents are not what the manifest says."""
        positions = np.flatnonzero(self.shard == shard)
        if not positions.size:
            raise Refused(f"shard {shard} is not in the manifest of {str(self.directory)!r}")
        positions = positions[np.argsort(self.row[positions])]
        file = BetonFile(self.directory / shard_name(shard))
        same = np.array_equal(file.index, self.index[positions]) and np.array_equal(file.labels, self.labels[positions])
        if not (same and file.has_index and (file.image_shape, file.jpeg) == self._form):
            raise Refused(f"{str(file.path)!r} is not the shard its manifest describes: run the shard stage again")
        return file


@dataclass(frozen=True)
class ImageBatch:
    images: torch.Tensor  # uint8 [B, H, W, 3]
    labels: torch.Tensor  # int64 [B]
    index: torch.Tensor  # int64 [B]


class Reader(Protocol):
    """Reads batches of a ShardSet; every back end gives the same tensors."""

    backend: str
    shards: ShardSet

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        """Returns the samples in `rows` (int [n]) of one shard, in that order, in batches that own their memory.

        The last batch may be smaller; none is dropped. Raises Refused for an unknown shard or row, or batch_size < 1.
        """
        ...


class NumpyReader:
    """Reads shards through a memory map, JPEG pages with Pillow: nothing to install or to compile."""

    backend = "numpy"

    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        at_least("batch_size", batch_size, 1)
        if len(rows) == 0:
            return iter(())
        file = self.shards.open(shard)
        rows = file.checked_rows(rows)
        chunks = (rows[first : first + batch_size] for first in range(0, len(rows), batch_size))
        return (ImageBatch(*map(torch.from_numpy, (file.images(c), file.labels[c], file.index[c]))) for c in chunks)


def open_reader(directory: Path, backend: Backend = "auto") -> Reader:
    """Returns a reader of the shards in `directory`; `auto` is FFCV where installed, else NumPy (see `.backend`).

    JPEG shards are read with NumPy and Pillow only: FFCV's decoder gives other pixels, and old ones where it fails.
    """
    if backend not in get_args(Backend):
        raise unknown("reader", backend, get_args(Backend))
    shards = ShardSet(directory)
    installed = importlib.util.find_spec("ffcv") is not None
    if backend == "numpy" or (backend == "auto" and (shards.jpeg or not installed)):
        return NumpyReader(shards)
    if not installed and not shards.jpeg:
        install = "apt-get install pkg-config libopencv-dev libturbojpeg0-dev && pip install ffcv==1.0.2"
        raise Refused(f"FFCV is not installed: {install}, or read with NumPy (the same tensors)")
    from ray_defense.data.shards.ffcv_reader import FfcvReader  # the only module that needs FFCV, whose import takes seconds

    return FfcvReader(shards)
