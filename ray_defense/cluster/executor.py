"""The Ray side of the executor seam: Ray Data ingests, Ray Train trains, actors score, tasks evaluate."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import ray

from ray_defense.cluster.blocks import most_actors, num_actors, run_blocks, starter
from ray_defense.cluster.datasets import ingest
from ray_defense.cluster.errors import original
from ray_defense.cluster.resources import gpus_each, wait_for_nodes
from ray_defense.cluster.signals import own_signals
from ray_defense.cluster.training import fit
from ray_defense.cluster.tune import sweep
from ray_defense.cluster.visibility import check_store
from ray_defense.core import progress
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.execution.protocols import Backend, BlockJob, IngestJob, Room, SweepJob, TrainJob

PATHS = ("RAY_DEFENSE_DATA", "RAY_DEFENSE_CACHE")
PASSED_ON = (*PATHS, "PYTHONPATH")  # variables of the driver that workers of another cluster need
_SAY_S = 900.0  # without an answer of tasks, whose length nothing bounds, this is said


def start_ray() -> bool:
    """Joins the cluster that RAY_ADDRESS names, or starts one on this machine; returns whether Ray was not up before."""
    if ray.is_initialized():
        return False
    with own_signals():
        _connect()
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return True


def _connect() -> None:
    for name in PATHS:
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.environ[name])  # workers run in other directories
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    ray.init(
        address=os.environ.get("RAY_ADDRESS") or "local",  # a bare init would attach to whatever a stale file names
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": passed_on} if os.environ.get("RAY_ADDRESS") else None,
    )


class RayExecutor:
    """Runs work on a Ray cluster (see `core.seams.Executor`)."""

    name = "ray"

    def __init__(self, backend: Backend = "auto", placement: Placement = ANYWHERE):
        self.backend: Backend = backend
        self.placement = placement
        self._started = start_ray()
        wait_for_nodes(placement)

    def check_store(self, root: Path) -> None:
        check_store(root)

    def ingest(self, job: IngestJob) -> None:
        if job.ranges:
            ingest(job)

    def train(self, jobs: Sequence[TrainJob]) -> None:
        for _, group in groupby(jobs, key=lambda job: (job.config.workers.num_workers, job.config.workers.cpus_per_worker)):
            fit(list(group), self.backend, self.placement)

    def score(self, job: BlockJob) -> None:
        missing = job.missing()
        if not missing:
            return
        count = num_actors(job, len(missing), self.placement)
        start = starter(job, self.backend, self.placement, count)
        actors = [start() for _ in range(count)]
        try:
            run_blocks(actors, start, missing, job.artifact.stage, job.patience_s)
        finally:
            for actor in actors:
                ray.kill(actor)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        num_gpus = gpus_each(self.placement.gpus_per_worker, 1)
        task = ray.remote(function).options(num_cpus=1, num_gpus=num_gpus, max_retries=2, scheduling_strategy="DEFAULT")
        references = [task.remote(item) for item in items]
        while len(ray.wait(references, num_returns=len(references), timeout=_SAY_S)[0]) < len(references):
            progress.tell(f"no answer for {_SAY_S:.0f} s, still waiting for tasks", 0, len(references))
        try:
            return ray.get(references)
        except ray.exceptions.RayError as error:
            raise original(error) from None

    def room(self, cpus_per_actor: int) -> Room:
        nodes, there = sum(node["Alive"] for node in ray.nodes()), ray.cluster_resources()
        actors = most_actors(cpus_per_actor, self.placement)
        return Room(nodes, int(there.get("CPU", 0)), int(there.get("GPU", 0)), actors)

    def sweep(self, job: SweepJob) -> None:
        several = partial(RayExecutor, self.backend, self.placement)
        sweep(job, partial(LocalExecutor, self.backend), several, self.placement)

    def close(self) -> None:
        if self._started:
            ray.shutdown()
