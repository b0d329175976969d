"""probe --score--> one score a sample, computed block by block so that any number of actors gives the same bits (Eq. 1)."""

import time
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
from ray_defense.core.random import stream
from ray_defense.core.seams import Backend, BlockJob
from ray_defense.core.store import Artifact, read_json
from ray_defense.data.shards import ShardSet, open_reader, write_table
from ray_defense.models import build_model, load_weights
from ray_defense.scores import SCORES, FeatureConsistency, feature_consistency
from ray_defense.stages.context import Context
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


def part(job: BlockJob, block: Block) -> Path:
    """Returns where the scores of a block stand once they are computed."""
    return job.artifact.scratch / f"block-{block.number:06d}.parquet"


class Scorer:
    """Scores blocks with the probe; lives as long as its actor, so that reader and model are opened once."""

    def __init__(self, job: BlockJob, device: torch.device, backend: Backend):
        self.job, self.device = job, device
        suspect = job.inputs["suspect"].path
        self.reader = open_reader(suspect, backend)
        num_classes = read_json(suspect / "dataset.json")["num_classes"]
        model = build_model(job.settings["model"], num_classes, 0)
        load_weights(job.inputs["probe"].path / "model.safetensors", model)
        self.model = to_device(model, device).eval()

    def __call__(self, block: Block) -> None:
        """Writes the part of `block`: index and score, whole or not at all."""
        rows = np.arange(block.low, block.high)
        batches = self.reader.batches(block.shard, rows, self.job.config.batch_size)
        scored = [(batch.index.numpy(), self.score(batch.images.to(self.device), batch.index.numpy())) for batch in batches]
        index, score = (np.concatenate(column) for column in zip(*scored, strict=True))
        write_table(part(self.job, block), pa.table({"index": index, "score": score}))

    @torch.no_grad()
    def score(self, images_BHWC: torch.Tensor, index_B: np.ndarray) -> np.ndarray:
        """Returns the scores float64 [B] of uint8 images; the clean view's features are computed once for all draws."""
        config: Score = self.job.config
        normalization = self.job.settings["normalization"]
        images = to_float(images_BHWC)
        features_BD, _ = self.model(normalization.apply(images))
        distances_KB = []
        for draw in range(config.score.draws):
            moved = apply_all(config.tau, images, draw_key(self.job.seed, draw), index_B)
            transformed_BD, _ = self.model(normalization.apply(moved))
            distances_KB.append(feature_consistency(features_BD, transformed_BD).cpu().numpy())
        return config.score.score(np.stack(distances_KB))


def run(config: Score, suspect: Artifact, probe: Artifact, model: Any, context: Context) -> Artifact:
    """Scores every sample of `suspect` with the probe (built by `model`): `scores.parquet` with index and score.

    Raises Failed when a score is missing, doubled, or not finite (it would sort as most suspicious).
    """
    inputs = {"suspect": suspect, "probe": probe}
    artifact = context.place("score", VERSION, config, inputs, **context.settings)
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        shards = ShardSet(suspect.path)
        settings = {"model": model, **context.settings}
        blocks = plan(shards, config.block_size)
        patience_s = 900 + 0.5 * config.block_size * (config.score.draws + 1)  # half a second a forward pass is slow
        job = BlockJob(Scorer, blocks, part, config, context.seed, artifact, inputs, settings, patience_s)
        context.executor.score(job)
        table = pa.concat_tables([pq.read_table(part(job, block)) for block in blocks]).sort_by("index")
        if not np.array_equal(table["index"].to_numpy(), shards.index):
            raise Failed(f"{table.num_rows} scores for {shards.num_samples} samples: remove {artifact.work} and run again")
        bad = ~np.isfinite(table["score"].to_numpy())
        if bad.any():
            raise Failed(f"{int(bad.sum())} scores are not finite: the probe diverged; lower probe.sgd.learning_rate")
        write_table(artifact.work / "scores.parquet", table)
        artifact.publish(time.perf_counter() - start)
    return artifact
