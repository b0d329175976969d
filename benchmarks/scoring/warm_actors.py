"""Actors that are started once: whole scoring on one pool, the bare forward passes on another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from ray_defense.cluster.blocks import ActorPool, run_schedule
from ray_defense.cluster.executor import RayExecutor
from ray_defense.cluster.retry_policy import BlockSchedule
from ray_defense.detectors.feature_scorer import Block
from ray_defense.execution.placement import ANYWHERE
from ray_defense.execution.protocols import Backend, BlockJob
from ray_defense.models.protocol import Model
from ray_defense.models.seeded import build_model
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import to_float
from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.protocol import Transform

NUM_ACTORS = 2


class WarmExecutor(RayExecutor):
    """The Ray executor with scoring actors that are started once and used for all jobs.

    The jobs must be equal: an actor keeps what it opened for the first of them.
    """

    def __init__(self, backend: Backend):
        super().__init__(backend)
        self.startup_s = 0.0  # of the actors: from their start until the first block is scored
        self._pool: ActorPool | None = None

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        if self._pool is None:
            start = time.perf_counter()
            self._pool = ActorPool(job, self.backend, ANYWHERE, NUM_ACTORS)
            ray.get([actor.run.remote(job.blocks[0]) for actor in self._pool.actors])
            self.startup_s = time.perf_counter() - start
        run_schedule(self._pool, BlockSchedule(job.task, job.missing_blocks()), job.patience_s)


@dataclass(frozen=True)
class BareInputs:
    """What the bare forward passes take."""

    model: Model
    num_classes: int
    size: int  # pixels, of a side
    tau: tuple[Transform, ...]
    normalization: Normalization
    batch_size: int


class BareForward:
    """The forward passes of blocks and nothing else, over two views of one random batch."""

    def __init__(self, inputs: BareInputs, device: torch.device, backend: Backend):
        self.batch_size = inputs.batch_size
        self.model = build_model(inputs.model, inputs.num_classes, seed=0).to(device).eval()
        shape = (inputs.batch_size, inputs.size, inputs.size, 3)
        images = to_float(torch.randint(0, 256, shape, dtype=torch.uint8, device=device))
        transformed = apply_all(inputs.tau, images, 0, np.arange(inputs.batch_size))
        # The two views differ in their memory layouts, as those of the stage do.
        self.views = [inputs.normalization.apply(view) for view in (images, transformed)]

    @torch.no_grad()
    def __call__(self, block: Sequence[Block]) -> None:
        """Passes as many images through the model as a share of the blocks has, in each view."""
        for of_share in block:
            for low in range(of_share.low, of_share.high, self.batch_size):
                num_images = min(self.batch_size, of_share.high - low)
                for view in self.views:
                    self.model(view[:num_images])


def _no_parts(inputs: BareInputs, blocks: Sequence[Block]) -> list[Path]:
    return []


class BarePool:
    """Warm actors that run the bare forward passes, each those of its share of the blocks."""

    def __init__(self, inputs: BareInputs, blocks: Sequence[Block]):
        self.shares = [blocks[number::NUM_ACTORS] for number in range(NUM_ACTORS)]
        job = BlockJob(
            task="bare forward passes",
            open=BareForward,
            inputs=inputs,
            blocks=self.shares,
            parts=_no_parts,
            cpus_per_actor=1,
        )
        self._pool = ActorPool(job, "numpy", ANYWHERE, NUM_ACTORS)
        ray.get([actor.ready.remote() for actor in self._pool.actors])

    def run_all(self) -> None:
        """Runs every share, side by side."""
        running = []
        for actor, share in zip(self._pool.actors, self.shares, strict=True):
            running.append(actor.run.remote(share))
        ray.get(running)
