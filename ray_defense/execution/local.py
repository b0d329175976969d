"""The trivial side of both seams: everything in this process, one worker, no Ray."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ray_defense.core.errors import InputError, RayDefenseError
from ray_defense.core.progress import report_progress
from ray_defense.core.usable_cpus import usable_cpus
from ray_defense.execution.checkpoint import checkpoint_bytes, load_checkpoint, save_checkpoint
from ray_defense.execution.device import best_device, torch_threads
from ray_defense.execution.protocols import (
    Backend,
    BlockJob,
    ClusterResources,
    IngestJob,
    Item,
    Metrics,
    Output,
    TrainJob,
    TrialsJob,
    Worker,
)
from ray_defense.execution.side_by_side import run_side_by_side, slots_of_this_process
from ray_defense.store.artifacts import Artifact

EpochListener = Callable[[str, int, Metrics], None]  # stage, number of the epoch from 1, metrics

_NO_VARIANCE = "more than 1 value per channel"  # in the text of torch's batch normalization


class LocalWorker:
    """The only worker of a training in this process (see `protocols.Worker`)."""

    rank = 0
    world_size = 1

    def __init__(
        self,
        artifact: Artifact,
        num_epochs: int,
        device: torch.device,
        backend: Backend,
        on_epoch_end: EpochListener | None = None,
    ):
        self.artifact = artifact
        self.num_epochs = num_epochs
        self.device = device
        self.backend: Backend = backend
        self._on_epoch_end = on_epoch_end

    def wrap(self, model: torch.nn.Module, *, partly_used: bool = False) -> torch.nn.Module:
        return model

    def synchronize(self, model: torch.nn.Module) -> None:
        pass

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def report_epoch(self, number: int, metrics: Metrics) -> None:
        report_progress(self.artifact.stage, number, self.num_epochs, metrics=metrics)
        if self._on_epoch_end is not None:
            self._on_epoch_end(self.artifact.stage, number, metrics)

    def save(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.artifact.scratch, state)

    def load(self) -> dict[str, Any] | None:
        return load_checkpoint(self.artifact.scratch, self.device)


def run_train_job(worker: Worker, job: TrainJob[Any]) -> None:
    """Runs a training job in one worker and publishes its artifact from rank 0.

    A job whose artifact is published already is left alone.

    Raises:
        InputError: If a batch of one image becomes a single pixel, which cannot be normalized.
    """
    if job.artifact.exists:
        return
    start = time.perf_counter()
    with torch_threads(job.workers.cpus_per_worker):
        try:
            job.program(worker, job.artifact, job.inputs)
        except ValueError as error:
            if _NO_VARIANCE not in str(error):
                raise
            raise InputError(
                f"{job.artifact.stage}: a batch of one image, which the model shrinks to a single "
                "pixel, has no variance to normalize by: raise source.size, or choose a batch_size "
                "that leaves no last batch of one image"
            ) from error
    if worker.rank == 0:
        seconds = time.perf_counter() - start
        job.artifact.publish(seconds, checkpoint_bytes(job.artifact.scratch))


def _call_in_threads(
    function: Callable[[int], None], numbers: Sequence[int], *, num_threads: int, num_cpus: int
) -> None:
    """Calls a function with each number, so many at a time, with so many threads of torch each."""

    def call(number: int) -> None:
        # A job leaves torch's number of threads as it was, and part of it holds for all threads.
        torch.set_num_threads(num_cpus)
        function(number)

    with torch_threads(num_cpus):
        run_side_by_side([partial(call, number) for number in numbers], num_threads)


class LocalExecutor:
    """Runs everything in this process (see `protocols.Executor`).

    All is done in order, but for jobs side by side, which have threads of their own.
    """

    name = "local"

    def __init__(
        self,
        backend: Backend = "auto",
        device: torch.device | None = None,
        on_epoch_end: EpochListener | None = None,
    ):
        """Creates the executor.

        Args:
            backend: Who reads the shards.
            device: Where models run; None for the first GPU, or else the CPU.
            on_epoch_end: Called as each epoch of each training ends; it may raise TrialStopped.
        """
        self.backend: Backend = backend
        self.device = device or best_device()
        self._on_epoch_end = on_epoch_end

    def check_store(self, root: Path) -> None:
        pass

    def ingest(self, job: IngestJob) -> None:
        report_progress("ingest", 0, len(job.ranges))
        for number, (low, high) in enumerate(job.ranges):
            job.write(job.change(job.read(low, high)))
            report_progress("ingest", number + 1, len(job.ranges))

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        for job in jobs:
            num_workers = job.workers.num_workers
            if num_workers != 1:
                raise InputError(
                    f"{job.artifact.stage}.workers.num_workers is {num_workers}: the local "
                    "executor has one worker; use --executor ray, or set it to 1"
                )
            report_progress(job.artifact.stage, 0, job.num_epochs)
            worker = LocalWorker(
                job.artifact, job.num_epochs, self.device, self.backend, self._on_epoch_end
            )
            run_train_job(worker, job)

    def train_side_by_side(self, jobs: Sequence[TrainJob[Any]]) -> None:
        errors: dict[int, RayDefenseError] = {}

        def train(number: int) -> None:
            try:
                self.train([jobs[number]])
            except RayDefenseError as error:
                errors[number] = error

        groups: dict[int, list[int]] = {}
        for number, job in enumerate(jobs):
            groups.setdefault(job.workers.cpus_per_worker, []).append(number)
        for num_cpus, numbers in groups.items():
            num_threads = self._num_threads(num_cpus)
            if num_threads > 1 and len(numbers) > 1:
                _call_in_threads(train, numbers, num_threads=num_threads, num_cpus=num_cpus)
            else:
                for number in numbers:
                    train(number)
        if errors:
            raise errors[min(errors)]

    def _num_threads(self, num_cpus: int) -> int:
        """Returns how many jobs run at a time: one on a GPU, in a trial, and while FFCV reads."""
        if self.device.type != "cpu" or self._on_epoch_end is not None or self.backend == "ffcv":
            return 1
        return slots_of_this_process(num_cpus)

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        missing = job.missing_blocks()
        if not missing:
            return
        report_progress(job.task, 0, len(missing))
        with torch_threads(job.cpus_per_actor):
            work = job.open(job.inputs, self.device, self.backend)
            for number, block in enumerate(missing):
                work(block)
                report_progress(job.task, number + 1, len(missing))

    def map(self, function: Callable[[Item], Output], items: Sequence[Item]) -> list[Output]:
        return [function(item) for item in items]

    def resources(self, cpus_per_actor: int) -> ClusterResources:
        num_cpus = usable_cpus()
        num_gpus = torch.cuda.device_count()
        return ClusterResources(num_nodes=1, num_cpus=num_cpus, num_gpus=num_gpus, num_actors=1)

    def run_trials(self, job: TrialsJob) -> None:
        for number, trial in enumerate(job.trials):
            with contextlib.suppress(RayDefenseError):  # the job keeps what a trial failed by
                job.run(trial, self)
            report_progress("sweep", number + 1, len(job.trials))

    def close(self) -> None:
        pass
