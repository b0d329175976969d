"""The Ray side of the executor seam: Ray Data ingests, Ray Train trains, actors score, tasks evaluate."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import ray

from ray_defense.cluster.datasets import ingest
from ray_defense.cluster.errors import original
from ray_defense.cluster.scoring import num_actors, run_blocks, start_actors
from ray_defense.cluster.signals import own_signals
from ray_defense.cluster.sweeps import sweep
from ray_defense.cluster.training import fit
from ray_defense.core.local import LocalExecutor
from ray_defense.core.seams import Backend, BlockJob, IngestJob, SweepJob, TrainJob

PATHS = ("RAY_DEFENSE_DATA", "RAY_DEFENSE_CACHE")
PASSED_ON = (*PATHS, "PYTHONPATH")  # variables of the driver that workers of another cluster need


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

    def __init__(self, backend: Backend = "auto", actors: int | None = None):
        self.backend: Backend = backend
        self.actors = actors  # for scoring; None: one a GPU or CPU slot
        self._started = start_ray()

    def ingest(self, job: IngestJob) -> None:
        if job.ranges:
            ingest(job)

    def train(self, jobs: Sequence[TrainJob]) -> None:
        for _, group in groupby(jobs, key=lambda job: (job.config.workers.num_workers, job.config.workers.cpus_per_worker)):
            fit(list(group), self.backend)

    def score(self, job: BlockJob) -> None:
        missing = job.missing()
        if not missing:
            return
        actors = start_actors(job, self.backend, num_actors(job, len(missing), self.actors))
        try:
            run_blocks(actors, missing, job.artifact.stage, job.patience_s)
        finally:
            for actor in actors:
                ray.kill(actor)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        num_gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        task = ray.remote(function).options(num_cpus=1, num_gpus=num_gpus, max_retries=2, scheduling_strategy="DEFAULT")
        try:
            return ray.get([task.remote(item) for item in items])
        except ray.exceptions.RayError as error:
            raise original(error) from None

    def sweep(self, job: SweepJob) -> None:
        sweep(job, partial(LocalExecutor, self.backend), partial(RayExecutor, self.backend))

    def close(self) -> None:
        if self._started:
            ray.shutdown()
