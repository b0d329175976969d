"""The executor on Ray: Ray Data ingests, Ray Train trains, actors score, tasks evaluate."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import ray

from ray_defense.cluster.blocks import run_block_job
from ray_defense.cluster.datasets import ingest_ranges
from ray_defense.cluster.errors import ray_errors_told
from ray_defense.cluster.patience import PATIENCE_S, Patience
from ray_defense.cluster.resources import cluster_resources, gpus_for_each, wait_for_nodes
from ray_defense.cluster.small_jobs import train_side_by_side
from ray_defense.cluster.training import train_in_group
from ray_defense.cluster.tune import TrialExecutors, run_trials_on_tune
from ray_defense.cluster.visibility import check_store_visible
from ray_defense.core.progress import report_progress
from ray_defense.execution.local import EpochListener, LocalExecutor
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.execution.protocols import (
    Backend,
    BlockJob,
    ClusterResources,
    Executor,
    IngestJob,
    Item,
    Output,
    TrainJob,
    TrialsJob,
)


class RayExecutor:
    """Runs work on a Ray cluster (see `execution.protocols.Executor`)."""

    name = "ray"

    def __init__(
        self,
        backend: Backend = "auto",
        placement: Placement = ANYWHERE,
        *,
        owns_connection: bool = False,
    ):
        """Takes over the cluster that this process is connected to (`session.start_executor`).

        Args:
            backend: Who reads the shards.
            placement: How work is spread over the cluster.
            owns_connection: Whether `close` shuts Ray down.
        """
        self.backend: Backend = backend
        self.placement = placement
        self._owns_connection = owns_connection
        self._visible_stores: set[Path] = set()
        wait_for_nodes(placement)

    def check_store(self, root: Path) -> None:
        if root not in self._visible_stores:
            check_store_visible(root)
            self._visible_stores.add(root)

    def ingest(self, job: IngestJob) -> None:
        if job.ranges:
            ingest_ranges(job, self._patience_s(job.patience_s))

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        def group_of(job: TrainJob[Any]) -> tuple[int, int]:
            return job.workers.num_workers, job.workers.cpus_per_worker

        for _, group in groupby(jobs, key=group_of):
            train_in_group(list(group), self.backend, self.placement, self._patience_s())

    def train_side_by_side(self, jobs: Sequence[TrainJob[Any]]) -> None:
        train_side_by_side(jobs, self.backend, self.placement, self._patience_s())

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        run_block_job(job, self.backend, self.placement, self._patience_s(job.patience_s))

    def map(self, function: Callable[[Item], Output], items: Sequence[Item]) -> list[Output]:
        # Ray takes functions and classes alone, not every callable.
        task = ray.remote(_call).options(
            name=getattr(function, "__name__", type(function).__name__),
            num_cpus=1,
            num_gpus=gpus_for_each(self.placement.gpus_per_worker, 1),
            max_retries=2,
            scheduling_strategy="DEFAULT",
        )
        references = [task.remote(function, item) for item in items]
        waiting = references
        patience = Patience(self._patience_s())
        while waiting:
            finished, waiting = ray.wait(waiting, timeout=patience.next_look_s)
            num_done = len(references) - len(waiting)
            if finished:
                patience.news()
            patience.check("tasks", "a task hangs, or no node has room for one")
            if patience.is_note_due():
                report_progress("tasks", num_done, len(references), note=patience.note())
        with ray_errors_told("tasks"):
            outputs: list[Output] = ray.get(references)
        return outputs

    def _patience_s(self, default_s: float = PATIENCE_S) -> float:
        """Returns how long work may bring nothing: what the user says, else what the work does."""
        if self.placement.patience_s is not None:
            return self.placement.patience_s
        return default_s

    def resources(self, cpus_per_actor: int) -> ClusterResources:
        return cluster_resources(cpus_per_actor, self.placement)

    def run_trials(self, job: TrialsJob) -> None:
        executors = TrialExecutors(
            alone=partial(_local_executor, self.backend),
            several=partial(RayExecutor, self.backend, self.placement),
        )
        run_trials_on_tune(job, executors, self.placement, self._patience_s())

    def close(self) -> None:
        if self._owns_connection:
            ray.shutdown()


def _call(function: Callable[[Item], Output], item: Item) -> Output:
    return function(item)


def _local_executor(backend: Backend, on_epoch_end: EpochListener | None) -> Executor:
    return LocalExecutor(backend, on_epoch_end=on_epoch_end)
