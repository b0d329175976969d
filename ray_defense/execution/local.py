"""The trivial side of both seams: everything in this process, one worker, no Ray."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ray_defense.core import progress
from ray_defense.core.errors import RayDefenseError, Refused
from ray_defense.execution.checkpoint import load_checkpoint, save_checkpoint
from ray_defense.execution.protocols import Backend, BlockJob, IngestJob, Room, SweepJob, TrainJob


def best_device() -> torch.device:
    """Returns the first GPU where there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Runs the body with torch on `count` CPU threads: the thread count can change the last bits of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class LocalWorker:
    """The only worker of a run in this process (see `seams.Worker`)."""

    rank = 0
    world_size = 1

    def __init__(self, job: TrainJob, device: torch.device, backend: Backend):
        self.job, self.device, self.backend = job, device, backend

    def wrap(self, model: torch.nn.Module, *, partly_used: bool = False) -> torch.nn.Module:
        return model

    def synchronize(self, model: torch.nn.Module) -> None:
        pass

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def report(self, state: Mapping[str, Any]) -> None:
        progress.tell(self.job.artifact.stage, state["epoch"], self.job.num_epochs)
        progress.tell_epoch(self.job.artifact.stage, state)

    def save(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.job.artifact.scratch, state)

    def load(self) -> dict[str, Any] | None:
        return load_checkpoint(self.job.artifact.scratch, self.device)


def run_job(worker: Any, job: TrainJob) -> None:
    """Runs one training job in a worker and publishes its artifact from rank 0; a published one is left alone."""
    if job.artifact.exists:
        return
    start = time.perf_counter()
    with threads(job.config.workers.cpus_per_worker):
        job.program(worker, job)
    if worker.rank == 0:
        job.artifact.publish(time.perf_counter() - start)


class LocalExecutor:
    """Runs everything in this process, in order (see `seams.Executor`)."""

    name = "local"

    def __init__(self, backend: Backend = "auto", device: torch.device | None = None):
        self.backend: Backend = backend
        self.device = device or best_device()

    def check_store(self, root: Path) -> None:
        pass

    def ingest(self, job: IngestJob) -> None:
        for done, (low, high) in enumerate(job.ranges):
            job.write(job.change(job.read(low, high)))
            progress.tell("suspect", done + 1, len(job.ranges))

    def train(self, jobs: Sequence[TrainJob]) -> None:
        for job in jobs:
            num_workers = job.config.workers.num_workers
            if num_workers != 1:
                raise Refused(
                    f"{job.artifact.stage}.workers.num_workers is {num_workers}: the local executor has one worker; "
                    "use --executor ray, or set it to 1"
                )
            run_job(LocalWorker(job, self.device, self.backend), job)

    def score(self, job: BlockJob) -> None:
        missing = job.missing()
        with threads(job.config.cpus_per_actor):
            work = job.build(job, self.device, self.backend) if missing else None
            for done, block in enumerate(missing):
                work(block)
                progress.tell(job.artifact.stage, done + 1, len(missing))

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return [function(item) for item in items]

    def room(self, cpus_per_actor: int) -> Room:
        return Room(1, len(os.sched_getaffinity(0)), torch.cuda.device_count(), 1)

    def sweep(self, job: SweepJob) -> None:
        for done, trial in enumerate(job.trials):
            with contextlib.suppress(RayDefenseError):  # the job keeps what a trial said
                job.run(trial, self)
            progress.tell("sweep", done + 1, len(job.trials))

    def close(self) -> None:
        pass
