"""probe --score--> one score a sample, computed block by block so that any number of actors gives the same bits (Eq. 1)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ray_defense.core.checks import at_least
from ray_defense.core.config import choice
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import read_json
from ray_defense.core.random import stream
from ray_defense.data.suspect_dataset import ImageBatch, ShardSet, open_reader, write_table
from ray_defense.execution.protocols import Backend, BlockJob
from ray_defense.models import build_model, load_weights
from ray_defense.scores import SCORES, FeatureConsistency, feature_consistency
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import to_device
from ray_defense.training.views import to_float
from ray_defense.transforms import TRANSFORMS, Affine, Rotate, Transform, apply_all

VERSION = 1


@dataclass(frozen=True)
class Score:
    """How samples are scored; the paper draws tau once: `score.draws=1`."""

    tau: tuple[Transform, ...] = choice(TRANSFORMS, default=(Rotate(), Affine()))
    score: Any = choice(SCORES, default=FeatureConsistency())
    batch_size: int = 250
    block_size: int = 1000  # rows that one actor scores at a time: a multiple of the batch size
    cpus_per_actor: int = 1  # torch's threads in each

    def __post_init__(self) -> None:
        at_least("score.batch_size", self.batch_size, 1)
        at_least("score.block_size", self.block_size, self.batch_size)
        at_least("score.cpus_per_actor", self.cpus_per_actor, 1)
        if self.block_size % self.batch_size:
            raise Refused(f"score.block_size {self.block_size} must be a multiple of score.batch_size {self.batch_size}")


@dataclass(frozen=True)
class Block:
    """Rows low..high-1 of one shard."""

    number: int
    shard: int
    low: int
    high: int


def plan(suspect: ShardSet, block_size: int) -> list[Block]:
    """Returns the blocks of a shard directory, none across two shards, in order."""
    cuts = [
        (shard, low, min(low + block_size, count))
        for shard, count in zip(*np.unique(suspect.shard, return_counts=True), strict=True)
        for low in range(0, int(count), block_size)
    ]
    return [Block(number, int(shard), low, high) for number, (shard, low, high) in enumerate(cuts)]


def draw_key(seed: int, draw: int) -> int:
    """Returns the key of tau's draw number `draw` (from 0)."""
    return stream(seed, "score", "draw", draw)


def part(artifact: Artifact, block: Block) -> Path:
    """Returns where the scores of a block stand once they are computed."""
    return artifact.scratch / f"block-{block.number:06d}.parquet"


def parts(job: BlockJob, block: Block) -> list[Path]:
    """Returns where the scores of a block stand for every artifact of the job."""
    return [part(artifact, block) for artifact in job.settings["artifacts"]]


@dataclass(frozen=True, eq=False)
class Reading:
    """What one model makes of a batch."""

    features_BD: torch.Tensor  # float, of the clean view
    logits_BN: torch.Tensor  # float, of the clean view
    scores: list[np.ndarray]  # float64 [B] for each way of scoring


class Gauge:
    """Reads blocks through models of one shape, scored in one or more ways.

    An image is read once, moved and normalized once for all models, and its clean view passes each model once.
    """

    def __init__(self, job: BlockJob, weights: Sequence[Path], ways: Sequence[Score], device: torch.device, backend: Backend):
        self.job, self.ways, self.device = job, ways, device
        suspect = job.inputs["suspect"].path
        self.reader = open_reader(suspect, backend)
        num_classes = read_json(suspect / "dataset.json")["num_classes"]
        self.models = [_load(job.settings["model"], num_classes, path, device) for path in weights]

    def readings(self, block: Block) -> Iterator[tuple[ImageBatch, list[Reading]]]:
        """Yields the batches of a block, each with one reading a model."""
        rows = np.arange(block.low, block.high)
        for batch in self.reader.batches(block.shard, rows, self.job.config.batch_size):
            yield batch, self.read(batch.images.to(self.device), batch.index.numpy())

    @torch.no_grad()
    def read(self, images_BHWC: torch.Tensor, index_B: np.ndarray) -> list[Reading]:
        """Returns each model's reading of uint8 images; the clean view's features are computed once for all draws."""
        normalization = self.job.settings["normalization"]
        images = to_float(images_BHWC)
        clean = normalization.apply(images)
        readings = [Reading(*model(clean), []) for model in self.models]
        for way in self.ways:
            distances_SKB: list[list[np.ndarray]] = [[] for _ in self.models]
            for draw in range(way.score.draws):
                moved = normalization.apply(apply_all(way.tau, images, draw_key(self.job.seed, draw), index_B))
                for model, reading, distances_KB in zip(self.models, readings, distances_SKB, strict=True):
                    transformed_BD, _ = model(moved)
                    distances_KB.append(feature_consistency(reading.features_BD, transformed_BD).cpu().numpy())
            for reading, distances_KB in zip(readings, distances_SKB, strict=True):
                reading.scores.append(way.score.score(np.stack(distances_KB)))
        return readings


def _load(model: Any, num_classes: int, weights: Path, device: torch.device) -> torch.nn.Module:
    built = build_model(model, num_classes, 0)
    load_weights(weights, built)
    return to_device(built, device).eval()


class Scorer:
    """Scores blocks with the probe; lives as long as its actor, so that reader and model are opened once."""

    def __init__(self, job: BlockJob, device: torch.device, backend: Backend):
        self.job = job
        weights = [job.inputs["probe"].path / "model.safetensors"]
        self.gauge = Gauge(job, weights, job.settings["ways"], device, backend)

    def __call__(self, block: Block) -> None:
        """Writes the parts of `block`: index and score, each whole or not at all."""
        read = [(batch.index.numpy(), reading.scores) for batch, (reading,) in self.gauge.readings(block)]
        index = np.concatenate([index_B for index_B, _ in read])
        for way, path in enumerate(parts(self.job, block)):
            score = np.concatenate([scores[way] for _, scores in read])
            write_table(path, pa.table({"index": index, "score": score}))


def patience_s(ways: Sequence[Score], num_models: int = 1) -> float:
    """Returns how long, in seconds, nothing may happen before a pool of actors counts as stalled."""
    passes = (1 + sum(way.score.draws for way in ways)) * num_models
    return 900 + 0.5 * ways[0].block_size * passes  # half a second an image and pass is slow


def place(config: Score, suspect: Artifact, probe: Artifact, context: Context) -> Artifact:
    """Returns where the scores stand."""
    return context.place("score", VERSION, config, {"suspect": suspect, "probe": probe}, **context.settings)


def run(config: Score, suspect: Artifact, probe: Artifact, model: Any, context: Context) -> Artifact:
    """Scores every sample of `suspect` with the probe (built by `model`): `scores.parquet` with index and score.

    Raises Failed when a score is missing, doubled, or not finite (it would sort as most suspicious).
    """
    return run_ways([config], suspect, probe, model, context)[0]


def run_ways(ways: Sequence[Score], suspect: Artifact, probe: Artifact, model: Any, context: Context) -> list[Artifact]:
    """Scores in several ways, with one pass over the data and of the clean views; the same artifacts as one `run` for each.

    Raises Refused unless all ways cut the data into the same batches and blocks, Failed as `run` does.
    """
    if len({(way.batch_size, way.block_size, way.cpus_per_actor) for way in ways}) > 1:
        raise Refused("scores of different batch_size, block_size or cpus_per_actor cannot share a pass: run them apart")
    artifacts = [place(way, suspect, probe, context) for way in ways]
    with context.store.claim(*artifacts) as missing:
        if missing:
            start = time.perf_counter()
            todo = [way for way, artifact in zip(ways, artifacts, strict=True) if artifact in missing]
            shards, inputs = ShardSet(suspect.path), {"suspect": suspect, "probe": probe}
            blocks = plan(shards, ways[0].block_size)
            settings = {"model": model, "ways": todo, "artifacts": missing, **context.settings}
            context.executor.score(
                BlockJob(Scorer, blocks, parts, todo[0], context.seed, missing[0], inputs, settings, patience_s(todo))
            )
            for artifact in missing:
                _finish(artifact, blocks, shards)
                artifact.publish((time.perf_counter() - start) / len(missing))
    return artifacts


def _finish(artifact: Artifact, blocks: Sequence[Block], shards: ShardSet) -> None:
    table = pa.concat_tables([pq.read_table(part(artifact, block)) for block in blocks]).sort_by("index")
    if not np.array_equal(table["index"].to_numpy(), shards.index):
        raise Failed(f"{table.num_rows} scores for {shards.num_samples} samples: remove {artifact.work} and run again")
    bad = ~np.isfinite(table["score"].to_numpy())
    if bad.any():
        raise Failed(f"{int(bad.sum())} scores are not finite: the probe diverged; lower probe.sgd.learning_rate")
    write_table(artifact.work / "scores.parquet", table)
