"""Memory of one scoring process over many images: whether what it holds grows with what it has scored.

    python benchmarks/scoring_memory.py --data DIR [--turns 6]

DIR holds tinyimagenet-train.parquet; its 20,000 images of 64 pixels are scored again and again by one `Scorer`, with FFCV.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import psutil
from machine import record

from ray_defense.data.sources import SOURCES
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.local import LocalExecutor, best_device, threads
from ray_defense.execution.protocols import BlockJob
from ray_defense.models import SmallResNet, build_model, save_weights
from ray_defense.stages import detect as score
from ray_defense.stages import ingest as shard
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.training.views import NORMALIZATIONS


def measure(data: Path, turns: int) -> dict[str, Any]:
    """Returns the memory that is this process's alone, in MiB, after each turn over all images."""
    found, model, config = [], SmallResNet(), score.Score()
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Store(folder), LocalExecutor("numpy"), 0, NORMALIZATIONS["imagenet"])
        suspect = shard.run(shard.Shard(500), SOURCES["parquet"](path=str(data), size=64), context)
        probe, scores = (context.store.place(stage, 0, {}, {}) for stage in ("probe", "score"))
        probe.path.mkdir(parents=True)
        scores.scratch.mkdir(parents=True)
        shards = ShardSet(suspect.path)
        save_weights(probe.path / "model.safetensors", build_model(model, len(set(shards.labels.tolist())), 0))
        blocks, inputs = score.plan(shards, config.block_size), {"suspect": suspect, "probe": probe}
        settings = {"model": model, "ways": [config], "artifacts": [scores], **context.settings}
        job = BlockJob(score.Scorer, blocks, score.parts, config, 0, scores, inputs, settings)
        with threads(config.cpus_per_actor):
            work = job.build(job, best_device(), "ffcv")
            for _ in range(turns):
                for block in blocks:
                    work(block)
                found.append(round(psutil.Process().memory_full_info().uss / 2**20, 1))
                print(found, flush=True)
    return {"images_a_turn": shards.num_samples, "size": 64, "uss_mib": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=6)
    arguments = parser.parse_args()
    print(record("memory_scoring", measure(arguments.data.resolve() / "tinyimagenet-train.parquet", arguments.turns)))
