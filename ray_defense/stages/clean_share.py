"""source --clean_share--> a few images that are known as clean, for defenses that need some.

They are training images as the source holds them, before anybody poisons it, with the labels of
the source. Nobody takes them out of the suspect dataset: most of them are in it too, a few of them
stamped. So it is what the paper gives to the methods it compares with: 1 % of the clean training
set.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources.protocol import Source
from ray_defense.execution.protocols import Columns, Executor, IngestJob
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import (
    IngestConfig,
    ReadRange,
    capture_planned,
    check_source_unchanged,
    source_identity,
    unchanged,
)
from ray_defense.store.artifacts import Artifact

CLEAN_SHARE = "clean_share"
VERSION = 1


@dataclass(frozen=True)
class CleanShareConfig:
    """How many images are known as clean, equally many of each class."""

    fraction: float = 0.01  # of the training images of the source, in [0, 1]

    def __post_init__(self) -> None:
        check_in_range("clean.fraction", self.fraction, 0, 1)


def clean_share_step(
    config: CleanShareConfig, ingest_config: IngestConfig, source: Source, context: PlanContext
) -> Step:
    """Returns the step of the clean share; which images are in it depends on the seed.

    Args:
        config: How large it is.
        ingest_config: How the suspect dataset is cut, and its images are kept.
        source: The clean images.
        context: The surroundings of the plan.
    """
    identity = source_identity(source, "train")
    artifact = context.locate(
        CLEAN_SHARE,
        VERSION,
        config,
        {},
        ingest=ingest_config,
        source=source,
        identity=identity,
    )
    share = _CleanShare(config, ingest_config, source, identity=identity, seed=context.seed)
    return Step(artifact, needs=(), work=FunctionWork(partial(_write_share, share)))


@dataclass(frozen=True)
class _CleanShare:
    config: CleanShareConfig
    ingest_config: IngestConfig
    source: Source
    identity: str  # of the training files when the run was planned
    seed: int


def choose_clean_samples(
    labels: np.ndarray, num_classes: int, fraction: float, key: int
) -> np.ndarray:
    """Returns the indices of a share of the samples, equally many of each class.

    A class gives floor(fraction * N / num_classes) samples, at least one, and all that it has if
    it has fewer.

    Args:
        labels: Of the source, int64 [N]; samples outside of range(num_classes) are left out.
        num_classes: The number of classes.
        fraction: Of the N samples.
        key: The random stream of the draws.

    Returns:
        int64, ascending.
    """
    num_of_each = max(1, int(np.round(fraction * len(labels), 6) // num_classes))
    chosen = []
    for label in range(num_classes):
        members = np.flatnonzero(labels == label)
        order = np.argsort(uniform(key, members, 1)[:, 0], kind="stable")
        chosen.append(members[order[:num_of_each]])
    return np.sort(np.concatenate(chosen))


def _write_share(share: _CleanShare, artifact: Artifact, executor: Executor) -> None:
    """Fills the artifact as a dataset is: shards, `manifest.parquet`, `dataset.json`."""
    # Arrow takes a moment to import, which planning can do without.
    from ray_defense.stages.ingest_tables import finish_tables, is_range_written

    shard_size = share.ingest_config.shard_size
    captured, labels = capture_planned(
        artifact, share.ingest_config, share.source, identity=share.identity
    )
    info = captured.info
    key = stream(share.seed, CLEAN_SHARE)
    chosen = choose_clean_samples(labels, info.num_classes, share.config.fraction, key)
    numbers = np.unique(chosen // shard_size)  # of the ranges that are read
    (artifact.scratch / "parts").mkdir(exist_ok=True)
    missing = []
    for position, number in enumerate(numbers.tolist()):
        if not is_range_written(artifact.work, position):
            low = number * shard_size
            missing.append((low, min(low + shard_size, len(labels))))
    write = WriteChosen(
        str(artifact.work), shard_size, chosen, jpeg_quality=share.ingest_config.jpeg_quality
    )
    executor.ingest(IngestJob(missing, read=ReadRange(captured), change=unchanged, write=write))
    check_source_unchanged(captured.source, "train", share.identity)
    tables = finish_tables(artifact.work, len(numbers), len(chosen))
    description = {
        "num_classes": info.num_classes,
        "class_names": info.class_names,
        "size": info.size,
        "num_samples": len(tables.accepted),
        "num_rejected": tables.num_rejected,
        "notes": list(tables.notes),
    }
    write_json(artifact.work / "dataset.json", description)


@dataclass(frozen=True)
class WriteChosen:
    """Writes the chosen samples of one range as a shard."""

    directory: str
    shard_size: int
    chosen: np.ndarray  # int64, ascending
    jpeg_quality: int | None = None

    def __call__(self, columns: Columns) -> Columns:
        """Writes the chosen rows of a range and returns how many they are."""
        from ray_defense.stages.ingest_tables import write_range

        index = np.asarray(columns["index"])
        range_number = int(index.min()) // self.shard_size
        is_chosen = np.isin(index, self.chosen)
        kept = {name: np.asarray(column)[is_chosen] for name, column in columns.items()}
        read_ranges = np.unique(self.chosen // self.shard_size)
        position = int(np.searchsorted(read_ranges, range_number))
        num_accepted = write_range(Path(self.directory), position, kept, self.jpeg_quality)
        return {"shard": np.array([position]), "rows": np.array([num_accepted])}
