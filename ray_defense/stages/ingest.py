"""source -> FFCV shards: every image decoded, checked and written once, beside a manifest and what was rejected."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import write_json
from ray_defense.data.sources import Source, check_labels
from ray_defense.data.suspect_dataset import (
    MANIFEST_SCHEMA,
    REJECTED_SCHEMA,
    write_manifest,
    write_rejected,
    write_shard,
    write_table,
)
from ray_defense.execution.protocols import IngestJob
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import SCRATCH, Artifact

VERSION = 1
Columns = dict[str, Any]  # index, image, label, origin, reason: one row a source index of the range


@dataclass(frozen=True)
class Shard:
    """How the suspect dataset is cut."""

    shard_size: int = 5000  # source indices a shard; a task holds several copies of one
    jpeg_quality: int | None = None  # 1 to 100: JPEG pages, read by Pillow alone; None: raw pixels

    def __post_init__(self) -> None:
        at_least("shard_size", self.shard_size, 1)
        if self.jpeg_quality is not None:
            in_range("shard.jpeg_quality", self.jpeg_quality, 1, 100)


def unchanged(columns: Columns) -> Columns:
    """The change that a user's own dataset undergoes: none."""
    return columns


def identity(source: Source, split: Literal["train", "test"]) -> str:
    """Returns what stands in a key for the files of a split: one configuration may find others on another day."""
    return fingerprint({"info": source.info(), "signature": source.signature(split)})


def place(config: Shard, source: Source, context: Context) -> Artifact:
    """Returns where the shards of a source that nobody poisoned for us stand; no seed is in their key."""
    described = {"shard": config, "source": source, "identity": identity(source, "train")}
    return context.store.place("suspect", VERSION, described, {})


def run(config: Shard, source: Source, context: Context) -> Artifact:
    """Shards the training split of a source that nobody poisoned for us."""
    artifact = place(config, source, context)
    with context.store.claim(artifact) as missing:
        if missing:
            make(artifact, config, source, source.labels("train"), unchanged, context)
    return artifact


def make(
    artifact: Artifact,
    config: Shard,
    source: Source,
    labels: np.ndarray,
    change: Callable[[Columns], Columns],
    context: Context,
    before_publishing: Callable[[], None] = lambda: None,
) -> None:
    """Fills and publishes `artifact`: shards, `manifest.parquet`, `rejected.parquet`, `dataset.json`.

    Raises Refused when more than 1 % of the labels are invalid, there is one class only or no sample is accepted,
    Failed when a range was not written whole.
    """
    start = time.perf_counter()
    info = source.info()
    notes = check_labels(labels, info.num_classes)
    parts = artifact.scratch / "parts"
    parts.mkdir(exist_ok=True)
    ranges = [(low, min(low + config.shard_size, len(labels))) for low in range(0, len(labels), config.shard_size)]
    todo = [part for part in ranges if not _manifest_part(artifact.work, part[0] // config.shard_size).exists()]
    job = IngestJob(todo, ReadRange(source), change, WriteShard(str(artifact.work), config.shard_size, config.jpeg_quality))
    context.executor.ingest(job)
    numbers = range(len(ranges))
    manifests = [pq.read_table(_manifest_part(artifact.work, number)) for number in numbers]
    rejected = pa.concat_tables([pq.read_table(_rejected_part(artifact.work, number)) for number in numbers])
    count = sum(table.num_rows for table in manifests)
    if count + rejected.num_rows != len(labels):
        raise Failed(f"{len(labels)} samples were read, {count} written and {rejected.num_rows} rejected: run again")
    if not count:
        raise Refused(f"all {len(labels)} samples were rejected, the first because: {rejected['reason'][0]}")
    hashes = pa.concat_tables(manifests)["sha256"]
    if count > 1 and pc.all(pc.equal(hashes, hashes[0])).as_py():
        raise Refused(f"not assessable: all {count} images are equal")
    write_manifest(artifact.work, manifests)
    write_rejected(artifact.work, *(rejected[name].to_pylist() for name in REJECTED_SCHEMA.names))
    if rejected.num_rows:
        notes = (*notes, f"{rejected.num_rows} of {len(labels)} samples were rejected: see rejected.parquet")
    description = {"num_classes": info.num_classes, "class_names": info.class_names, "size": info.size}
    counts = {"num_samples": count, "num_rejected": rejected.num_rows, "notes": list(notes)}
    write_json(artifact.work / "dataset.json", description | counts)
    before_publishing()
    artifact.publish(time.perf_counter() - start)


@dataclass(frozen=True)
class ReadRange:
    """Reads one range of the training split; a rejected sample keeps its row, with the reason and no pixels."""

    source: Source

    def __call__(self, low: int, high: int) -> Columns:
        batch = self.source.read("train", low, high)
        size = self.source.info().size
        columns = {
            "index": np.arange(low, high),
            "image": np.zeros((high - low, size, size, 3), np.uint8),
            "label": np.full(high - low, -1, np.int64),
            "origin": np.full(high - low, "", object),
            "reason": np.full(high - low, "", object),
        }
        rows = batch.index - low
        columns["image"][rows], columns["label"][rows] = batch.images, batch.labels
        columns["origin"][rows] = batch.origin
        for sample in batch.rejected:
            columns["origin"][sample.index - low] = sample.origin
            columns["reason"][sample.index - low] = sample.reason
        return columns


@dataclass(frozen=True)
class WriteShard:
    """Writes one range as a shard and its parts of the manifest and of the rejected, those last."""

    directory: str
    shard_size: int
    jpeg_quality: int | None = None

    def __call__(self, columns: Columns) -> Columns:
        index = np.asarray(columns["index"])
        number = int(index.min()) // self.shard_size
        if not np.array_equal(index, np.arange(index[0], index[0] + len(index))) or index[0] % self.shard_size:
            raise Failed(f"shard {number} was to be written from indices {index.min()}..{index.max()}: not one whole range")
        directory = Path(self.directory)
        good = np.array([not reason for reason in columns["reason"]])
        origin = np.asarray(columns["origin"], object)
        part = MANIFEST_SCHEMA.empty_table()  # of a range without one good sample; it has no shard
        if good.any():
            images, labels = columns["image"][good], columns["label"][good]
            part = write_shard(
                directory, number, images, labels, index[good], origin[good].tolist(), jpeg_quality=self.jpeg_quality
            )
        reasons = np.asarray(columns["reason"], object)[~good].tolist()
        rejected = {"index": index[~good], "origin": origin[~good].tolist(), "reason": reasons}
        write_table(_rejected_part(directory, number), pa.table(rejected, REJECTED_SCHEMA))
        write_table(_manifest_part(directory, number), part)
        return {"shard": np.array([number]), "rows": np.array([int(good.sum())])}


def _manifest_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"manifest-{number:05d}.parquet"


def _rejected_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"rejected-{number:05d}.parquet"
