"""source --ingest--> suspect dataset: images decoded, checked and written once as FFCV shards.

Beside the shards stand a manifest, a table of rejected samples and a description.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import write_json
from ray_defense.data.limits import MAX_RANGE_BYTES
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.sources.labels import check_accepted_labels, check_labels
from ray_defense.data.sources.listing import (
    SOURCE_CHANGED,
    CapturedSplit,
    ListedSource,
    capture_split,
)
from ray_defense.data.sources.protocol import (
    AttackedSource,
    DescribedSource,
    Source,
    SourceInfo,
    SourceSplit,
    VouchedSource,
)
from ray_defense.decoding.heif_layout import heif_formats
from ray_defense.execution.protocols import Columns, Executor, IngestJob
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact, Store

INGEST = "ingest"  # the stage, whether somebody poisons the source or not
VERSION = 1


@dataclass(frozen=True)
class IngestConfig:
    """How the suspect dataset is cut into shards."""

    shard_size: int = 5000  # source indices a shard; a task holds several copies of one
    jpeg_quality: int | None = None  # 1 to 100: JPEG pages, read by Pillow alone; None: raw pixels

    def __post_init__(self) -> None:
        check_at_least("ingest.shard_size", self.shard_size, 1)
        if self.jpeg_quality is not None:
            check_in_range("ingest.jpeg_quality", self.jpeg_quality, 1, 100)


def source_identity(source: Source, split: SourceSplit) -> str:
    """Returns what stands in a fingerprint for the files of a split: they may change any day."""
    return _identity_of(source.info(), source.signature(split))


def _identity_of(info: SourceInfo, signature: str) -> str:
    described: dict[str, Any] = {"info": info, "signature": signature}
    if heif_formats():  # which samples are read depends on it
        described["formats"] = heif_formats()
    return fingerprint(described)


def check_source_unchanged(source: Source, split: SourceSplit, identity: str) -> None:
    """Raises RunError if the files of a split have changed since that identity was taken."""
    if source_identity(source, split) != identity:
        raise RunError(SOURCE_CHANGED)


def check_store_apart(source: Source, store: Store) -> None:
    """Raises InputError if the store lies where the source looks for classes.

    Its folders would become classes, and what a run writes would change the source.
    """
    if isinstance(source, VouchedSource):
        for part in source.parts():
            check_store_apart(part, store)
    if isinstance(source, AttackedSource):
        check_store_apart(source.clean_source(), store)
    if not isinstance(source, ListedSource):
        return
    root = store.root.resolve()
    splits: tuple[SourceSplit, ...] = ("train", "test")
    for split in splits:
        listing = source.list_files(split)
        if listing is None or listing.folder is None:
            continue
        folder = listing.folder.resolve()
        if not root.is_relative_to(folder):
            continue
        steps = root.relative_to(folder).parts
        if not any(is_junk(step) for step in steps):
            raise InputError(
                f"the store {str(root)!r} lies in the folder of images {str(folder)!r} and would "
                "become a class: name another with --store"
            )


def ingest_step(config: IngestConfig, source: Source, context: PlanContext) -> Step:
    """Returns the step of a dataset that nobody poisoned for us; no seed is in its key."""
    check_store_apart(source, context.store)
    identity = source_identity(source, "train")
    described = {"ingest": config, "source": source, "identity": identity}
    artifact = context.store.locate(INGEST, VERSION, described, {})
    function = partial(ingest_unchanged, config, source, identity)
    return Step(artifact, needs=(), work=FunctionWork(function))


def ingest_unchanged(
    config: IngestConfig, source: Source, identity: str, artifact: Artifact, executor: Executor
) -> None:
    """Ingests the training split of a source as it is."""
    captured, labels = capture_planned(artifact, config, source, identity=identity)
    write_dataset(
        artifact,
        executor,
        config=config,
        captured=captured,
        identity=identity,
        labels=labels,
        change=unchanged,
    )


def capture_planned(
    artifact: Artifact, config: IngestConfig, source: Source, *, identity: str
) -> tuple[CapturedSplit, np.ndarray]:
    """Returns the training split as it was planned, and its labels, int64 [N].

    Args:
        artifact: The dataset that is made of it.
        config: How it is cut.
        source: The images.
        identity: Of the source's training files when the run was planned.

    Raises:
        RunError: If they have changed since.
    """
    listings = artifact.scratch / "listings"
    captured, labels = capture_split(source, "train", listings, config.shard_size)
    if _identity_of(captured.info, captured.signature) != identity:
        raise RunError(SOURCE_CHANGED)
    return captured, labels


def unchanged(columns: Columns) -> Columns:
    """The change that a user's own dataset undergoes: none."""
    return columns


def write_dataset(
    artifact: Artifact,
    executor: Executor,
    *,
    config: IngestConfig,
    captured: CapturedSplit,
    identity: str,
    labels: np.ndarray,
    change: Callable[[Columns], Columns],
) -> None:
    """Fills an artifact: shards, `manifest.parquet`, `rejected.parquet`, `dataset.json`.

    `converted.parquet` and `duplicates.parquet` are there if some images are converted, or equal.

    Args:
        artifact: The dataset that is made; its finished ranges are kept when it is resumed.
        executor: Who reads, changes and writes the ranges.
        config: How the dataset is cut.
        captured: The training split, as `capture_planned` returns it.
        identity: Of the source's training files when the run was planned.
        labels: The labels of the source, int64 [N].
        change: What is done to the columns of each range.

    Raises:
        InputError: If more than 1 % of the labels are invalid, samples of one class only or none
            at all are accepted, all images are equal, or a range would fill the memory.
        RunError: If the source changed, or a range was not written whole.
    """
    # Arrow takes a moment to import, which planning can do without.
    from ray_defense.stages.ingest_tables import finish_tables, is_range_written

    info = captured.info
    notes = list(check_labels(labels, info.num_classes))
    _check_range_fits(config, len(labels), info.size)
    (artifact.scratch / "parts").mkdir(exist_ok=True)
    ranges = []
    for low in range(0, len(labels), config.shard_size):
        ranges.append((low, min(low + config.shard_size, len(labels))))
    missing = []
    for number, bounds in enumerate(ranges):
        if not is_range_written(artifact.work, number):
            missing.append(bounds)
    write = WriteShard(str(artifact.work), config.shard_size, config.jpeg_quality)
    executor.ingest(IngestJob(missing, read=ReadRange(captured), change=change, write=write))
    check_source_unchanged(captured.source, "train", identity)
    tables = finish_tables(artifact.work, len(ranges), len(labels))
    notes.extend(check_accepted_labels(labels, tables.accepted, info.num_classes))
    notes.extend(tables.notes)
    recognized: tuple[str, ...] = ()
    num_junk = 0
    if isinstance(captured.source, DescribedSource):
        description_of_source = captured.source.describe()
        recognized = description_of_source.recognized
        num_junk = description_of_source.num_junk
        notes.extend(description_of_source.left_out)
    description = {
        "num_classes": info.num_classes,
        "class_names": info.class_names,
        "size": info.size,
        "num_samples": len(tables.accepted),
        "num_rejected": tables.num_rejected,
        "num_junk": num_junk,
        "recognized": recognized,
        "notes": notes,
    }
    write_json(artifact.work / "dataset.json", description)


def _check_range_fits(config: IngestConfig, num_samples: int, size: int) -> None:
    """Raises InputError if the images of one range are too many bytes for a task."""
    image_bytes = 3 * size * size
    num_images = min(config.shard_size, num_samples)
    if num_images * image_bytes > MAX_RANGE_BYTES:
        raise InputError(
            f"{num_images} images of {size}x{size} pixels in one shard take "
            f"{num_images * image_bytes / 2**30:.0f} GiB of memory: set ingest.shard_size to "
            f"{MAX_RANGE_BYTES // image_bytes} or less, or lower source.size"
        )


@dataclass(frozen=True)
class ReadRange:
    """Reads one range of the training split; a rejected sample keeps its row, without pixels."""

    captured: CapturedSplit

    def __call__(self, low: int, high: int) -> Columns:
        """Returns the columns of the range.

        They are index, image, label, origin, reason (of a rejection) and conversion (what the file
        of an accepted sample held instead of 8-bit RGB).
        """
        batch = self.captured.read(low, high)
        num_rows = high - low
        size = self.captured.info.size
        image = np.zeros((num_rows, size, size, 3), np.uint8)
        label = np.full(num_rows, -1, np.int64)
        origin = np.full(num_rows, "", object)
        reason = np.full(num_rows, "", object)
        conversion = np.full(num_rows, "", object)
        accepted = batch.index - low
        image[accepted] = batch.images
        label[accepted] = batch.labels
        origin[accepted] = batch.origin
        for sample in batch.rejected:
            origin[sample.index - low] = sample.origin
            reason[sample.index - low] = sample.reason
        for converted in batch.converted:
            conversion[converted.index - low] = converted.conversion
        return {
            "index": np.arange(low, high),
            "image": image,
            "label": label,
            "origin": origin,
            "reason": reason,
            "conversion": conversion,
        }


@dataclass(frozen=True)
class WriteShard:
    """Writes one range as a shard and its parts of the tables beside the shards."""

    directory: str
    shard_size: int
    jpeg_quality: int | None = None

    def __call__(self, columns: Columns) -> Columns:
        """Writes the range, the parts of the tables last, and returns the number of its rows."""
        from ray_defense.stages.ingest_tables import write_range

        index = np.asarray(columns["index"])
        number = int(index.min()) // self.shard_size
        is_ascending = np.array_equal(index, np.arange(index[0], index[0] + len(index)))
        if not is_ascending or index[0] % self.shard_size:
            raise RunError(
                f"shard {number} was to be written from indices {index.min()}..{index.max()}: "
                "not one whole range"
            )
        num_accepted = write_range(Path(self.directory), number, columns, self.jpeg_quality)
        return {"shard": np.array([number]), "rows": np.array([num_accepted])}
