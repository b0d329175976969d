"""recipe --benchmark--> images/s of ingest, probe and scoring where it runs, each time in a store of its own."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ray_defense.core.checks import at_least
from ray_defense.core.versions import versions
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.checkpoint import CHECKPOINT
from ray_defense.execution.protocols import Executor, Room, TrainJob, Worker
from ray_defense.models import build_model
from ray_defense.stages import detect as score
from ray_defense.stages import ingest as shard
from ray_defense.stages import probe
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    from ray_defense.pipeline.pipeline import Recipe

_WEIGHT = "checkpoint-bytes"


@dataclass(frozen=True)
class Pace:
    """A stage as often as it was repeated."""

    images: int  # each time: samples, times epochs where they train, times views where they are scored
    seconds: list[float]  # as the artifacts have them
    images_per_s: list[float]


@dataclass(frozen=True)
class Throughput:
    """What `benchmark.json` holds.

    The seconds of ingest and scoring hold the start of their tasks and actors, with what these import and compile; those of
    the probe hold opening the data and writing checkpoints, and not the start of the workers. The start of Ray is in none.
    """

    recipe: str
    num_samples: int
    ingest: Pace  # no attack: whoever has a dataset starts here
    probe: Pace
    scoring: Pace
    num_parameters: int  # of the probe
    shard_bytes_per_sample: float
    checkpoint_bytes: int  # of the probe, with its optimizers
    num_workers: int  # of the probe
    num_actors: int  # of scoring
    room: Room
    versions: dict[str, str]


@dataclass(frozen=True)
class _Once:
    """One time through."""

    num_samples: int
    num_blocks: int
    shard_bytes: int
    checkpoint_bytes: int
    seconds: tuple[float, float, float]  # ingest, probe, scoring


def run(recipe: "Recipe", store: Store, executor: Executor, repeats: int) -> Throughput:
    """Ingests, trains the probe and scores `repeats` times below `store` and removes what that made.

    Raises as these stages do, Refused for `repeats` under 1.
    """
    at_least("repeats", repeats, 1)
    times = [_once(recipe, store, executor) for _ in range(repeats)]
    (first, *_), count = times, times[0].num_samples
    room = executor.room(recipe.score.cpus_per_actor)
    epochs, views = recipe.probe.epochs + recipe.probe.intra_epochs, 1 + recipe.score.score.draws
    images = (count, count * epochs, count * views)
    paces = [
        Pace(all_images, list(seconds), [all_images / one for one in seconds])
        for all_images, seconds in zip(images, zip(*(one.seconds for one in times), strict=True), strict=True)
    ]
    model = build_model(recipe.probe.model, recipe.source.info().num_classes, 0)
    return Throughput(
        recipe.name,
        count,
        *paces,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        shard_bytes_per_sample=first.shard_bytes / count,
        checkpoint_bytes=first.checkpoint_bytes,
        num_workers=recipe.probe.workers.num_workers,
        num_actors=min(room.actors, first.num_blocks),
        room=room,
        versions=versions(),
    )


def _once(recipe: "Recipe", store: Store, executor: Executor) -> _Once:
    with TemporaryDirectory(prefix="benchmark-", dir=store.root) as folder:  # there, where all nodes see it
        context = Context(Store(folder), executor, recipe.seed, recipe.normalization)
        suspect = shard.run(recipe.shard, recipe.source, context)
        job = probe.job(recipe.probe, suspect, context)
        train_missing(context, [replace(job, program=train_weighed)])
        scores = score.run(recipe.score, suspect, job.artifact, recipe.probe.model, context)
        shards = ShardSet(suspect.path)
        return _Once(
            shards.num_samples,
            len(score.plan(shards, recipe.score.block_size)),
            sum(file.stat().st_size for file in suspect.path.glob("*.beton")),
            int(_weight(job.artifact).read_text()),
            (suspect.seconds, job.artifact.seconds, scores.seconds),
        )


def train_weighed(worker: Worker, job: TrainJob) -> None:
    """Trains the probe, and keeps the size of its checkpoint, which goes when the probe is published."""
    save = worker.save

    def save_and_weigh(state: dict) -> None:
        save(state)
        _weight(job.artifact).write_text(str((job.artifact.scratch / CHECKPOINT).stat().st_size))

    worker.save = save_and_weigh
    probe.train(worker, job)


def _weight(artifact: Artifact) -> Path:
    return artifact.path.with_name(_WEIGHT)
