"""Small training jobs of one worker each, as Ray tasks side by side: no Ray Train start each."""

from collections.abc import Sequence
from typing import Any

import ray

from ray_defense.cluster.errors import describe_loss, original_error
from ray_defense.cluster.patience import Patience
from ray_defense.cluster.resources import gpus_for_each, largest_node_cpus
from ray_defense.cluster.written_progress import (
    progress_followed,
    time_of_progress_ns,
    write_progress,
)
from ray_defense.core.errors import InputError, RayDefenseError, RunError
from ray_defense.execution.device import best_device
from ray_defense.execution.local import LocalWorker, run_train_job
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, Metrics, TrainJob

MAX_RETRIES = 3  # of a task whose process died: it resumes after the last checkpoint
_POLL_S = 5.0


def train_side_by_side(
    jobs: Sequence[TrainJob[Any]], backend: Backend, placement: Placement, patience_s: float
) -> None:
    """Runs independent jobs, as many at a time as the cluster has room for.

    Where one fails the others end first.

    Args:
        jobs: The jobs.
        backend: Who reads the shards.
        placement: How they are spread over the cluster.
        patience_s: How long no job may end or finish an epoch before all are given up.

    Raises:
        InputError: For a job of several workers, or as a job raised it.
        RunError: As a job raised it, or for a job whose process died again and again.
    """
    references = {}
    for job in jobs:
        if job.workers.num_workers != 1:
            raise InputError(
                f"{job.artifact.stage}.workers.num_workers is {job.workers.num_workers}: jobs "
                "that run side by side have one worker each"
            )
        task = ray.remote(_run_alone).options(
            num_cpus=min(job.workers.cpus_per_worker, largest_node_cpus()),
            num_gpus=gpus_for_each(placement.gpus_per_worker, 1),
            max_retries=MAX_RETRIES,
            scheduling_strategy="SPREAD" if placement.spread else "DEFAULT",
        )
        references[task.remote(job, backend)] = job
    errors = []
    waiting = list(references)
    patience = Patience(patience_s)
    written = _times_of_progress(jobs)
    with progress_followed(jobs):
        while waiting:
            finished, waiting = ray.wait(waiting, timeout=_POLL_S)
            times = _times_of_progress(jobs)
            if finished or times != written:
                written = times
                patience.news()
            patience.check(jobs[0].artifact.stage, "a process hangs, or no node has room for one")
            for reference in finished:
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as error:
                    errors.append(_error_of(references[reference], error))
    if errors:
        own = [failure for failure in errors if isinstance(failure, RayDefenseError)]
        raise (own or errors)[0]


def _error_of(job: TrainJob[Any], error: BaseException) -> BaseException:
    """Returns what a job raised, or an error that names the job where its process died."""
    cause = original_error(error)
    raised_by_job = isinstance(cause, ray.exceptions.RayTaskError)
    if raised_by_job or not isinstance(cause, ray.exceptions.RayError):
        return cause
    return RunError(
        f"the training of {job.artifact.stage} {job.artifact.key} died {MAX_RETRIES + 1} times; "
        f"run the same command again to resume ({describe_loss(cause)})"
    )


def _times_of_progress(jobs: Sequence[TrainJob[Any]]) -> list[int]:
    return [time_of_progress_ns(job.artifact) for job in jobs]


class _Worker(LocalWorker):
    """The only worker of a job, in a process whose progress the driver follows."""

    def report_epoch(self, number: int, metrics: Metrics) -> None:
        write_progress(self.artifact, number, metrics)


def _run_alone(job: TrainJob[Any], backend: Backend) -> None:
    worker = _Worker(job.artifact, job.num_epochs, best_device(), backend)
    run_train_job(worker, job)
