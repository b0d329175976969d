"""Cost of scoring: images/s of the whole score stage on two warm actors over the bare forward passes it contains.

    python benchmarks/scoring.py [--model small_resnet|resnet18] [--images 10000] [--repeats 5]

Both sides run in the same minutes, in turn, on equally many actors with one thread each; ratios are taken pair by pair.
Starting actors (importing FFCV, compiling its Loader, loading the model) is measured apart. Needs RAY_DEFENSE_DATA.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import record

from ray_defense.cluster import RayExecutor  # isort: skip  (before ray: it sets what ray reads when it is imported)
import ray  # isort: skip
from ray_defense.cluster.blocks import run_blocks, starter
from ray_defense.data.sources import SOURCES
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.placement import ANYWHERE
from ray_defense.execution.protocols import BlockJob
from ray_defense.models import MODELS, build_model, save_weights
from ray_defense.stages import detect as score
from ray_defense.stages import ingest as shard
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.training.views import NORMALIZATIONS, to_float
from ray_defense.transforms import apply_all

NUM_ACTORS = 2


def pool(job: BlockJob) -> list[Any]:
    """Returns the actors of one side."""
    start = starter(job, "ffcv", ANYWHERE, NUM_ACTORS)
    return [start() for _ in range(NUM_ACTORS)]


class WarmPool(RayExecutor):
    """The Ray executor with scoring actors that are started once and reused."""

    actors_up = None

    def score(self, job: BlockJob) -> None:
        if self.actors_up is None:
            start = time.perf_counter()
            self.actors_up = pool(job)
            ray.get([actor.run.remote(job.blocks[0]) for actor in self.actors_up])
            self.startup_s = time.perf_counter() - start
        run_blocks(self.actors_up, lambda: pool(job)[0], job.blocks, "score", job.patience_s)


class BareForward:
    """The forward passes of some blocks and nothing else: both views of one batch, as the stage makes them, over and over."""

    def __init__(self, job: BlockJob, device: torch.device, backend: str):
        self.model = build_model(job.settings["model"], 10, 0).to(device).eval()
        self.size = job.config.batch_size
        images = to_float(torch.randint(0, 256, (self.size, 32, 32, 3), dtype=torch.uint8, device=device))
        moved = apply_all(job.config.tau, images, 0, np.arange(self.size))
        self.views = [NORMALIZATIONS["cifar10"].apply(view) for view in (images, moved)]  # their memory layouts differ

    @torch.no_grad()
    def __call__(self, blocks: list[score.Block]) -> None:
        for block in blocks:
            for low in range(block.low, block.high, self.size):
                for view in self.views:
                    self.model(view[: min(self.size, block.high - low)])


def measure(model_name: str, images: int, repeats: int) -> dict[str, object]:
    """Returns the figures of one model."""
    # both pools stay up and take turns, so Ray must see room for both
    ray.init(address="local", num_cpus=2 * NUM_ACTORS, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        executor = WarmPool("ffcv")
        context = Context(Store(folder), executor, 0, NORMALIZATIONS["cifar10"])
        suspect = shard.run(shard.Shard(), SOURCES["cifar10"](limit=images), context)
        model, config = MODELS[model_name](), score.Score()
        probe = context.store.place("probe", 0, {"model": model}, {})
        probe.path.mkdir(parents=True)
        save_weights(probe.path / "model.safetensors", build_model(model, 10, 0))
        blocks = score.plan(ShardSet(suspect.path), config.block_size)
        job = BlockJob(BareForward, [], lambda job, block: [], config, 0, probe, {}, {"model": model})
        bare_actors = pool(job)
        halves = [blocks[number::NUM_ACTORS] for number in range(NUM_ACTORS)]
        stage_s, bare_s = [], []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            ray.get([actor.run.remote(half) for actor, half in zip(bare_actors, halves, strict=True)])
            bare_s.append(time.perf_counter() - start)
            shutil.rmtree(Path(folder) / "score", ignore_errors=True)
            start = time.perf_counter()
            score.run(config, suspect, probe, model, context)
            stage_s.append(time.perf_counter() - start)
        ray.shutdown()
    stage_s, bare_s = np.array(stage_s[1:]), np.array(bare_s[1:])  # the first pair warms up
    return {
        "model": model_name,
        "images": images,
        "actors": NUM_ACTORS,
        "forward_passes": 2 * images,
        "stage_images_per_s": round(images / float(np.median(stage_s)), 1),
        "bare_images_per_s": round(images / float(np.median(bare_s)), 1),
        "ratio_median": round(float(np.median(bare_s / stage_s)), 3),
        "ratio_min": round(float(np.min(bare_s / stage_s)), 3),
        "ratio_max": round(float(np.max(bare_s / stage_s)), 3),
        "startup_s": round(executor.startup_s, 1),
        "repeats": repeats,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(MODELS), default="small_resnet")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    figures = measure(arguments.model, arguments.images, arguments.repeats)
    path = record(f"scoring_{arguments.model}", figures)
    print(f"{path}: {figures}")
