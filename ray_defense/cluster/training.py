"""Training jobs on Ray Train: one fit runs several jobs one after another, restarts what dies, resumes from our checkpoints."""

import contextlib
import contextvars
import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context, report
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.config import LoggingConfig

from ray_defense.cluster.collectives import gather
from ray_defense.cluster.signals import own_signals
from ray_defense.core import progress
from ray_defense.core.checkpoint import load_checkpoint, save_checkpoint
from ray_defense.core.errors import Failed, RayDefenseError
from ray_defense.core.local import run_job
from ray_defense.core.seams import Backend, TrainJob
from ray_defense.core.store import write_json

MAX_FAILURES = 3  # of the worker group: each restart resumes after the last finished epoch
_PROGRESS = "progress.json"


class RayWorker:
    """One process of a Ray Train worker group (see `core.seams.Worker`)."""

    def __init__(self, job: TrainJob, backend: Backend):
        self.job, self.backend, self.device = job, backend, get_device()
        self.rank, self.world_size = get_context().get_world_rank(), get_context().get_world_size()

    def wrap(self, model: torch.nn.Module, *, partly_used: bool = False) -> torch.nn.Module:
        if self.world_size == 1:
            return model
        return torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=partly_used)

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return gather(tensor) if self.world_size > 1 else tensor

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.world_size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def report(self, state: Mapping[str, Any]) -> None:
        if self.rank == 0:
            write_json(self.job.artifact.scratch / _PROGRESS, {"epoch": state["epoch"]})

    def save(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.job.artifact.scratch, state)

    def load(self) -> dict[str, Any] | None:
        return load_checkpoint(self.job.artifact.scratch, self.device)


def train_loop(config: dict[str, Any]) -> None:
    """What every worker of the group runs: the jobs in order; those published before a restart are skipped."""
    for job in config["jobs"]:
        run_job(RayWorker(job, config["backend"]), job)
    report({"done": len(config["jobs"])})


def fit(jobs: Sequence[TrainJob], backend: Backend) -> None:
    """Runs jobs that want the same group of workers in one Ray Train run; raises what a job raised, or Failed."""
    workers, first = jobs[0].config.workers, jobs[0].artifact
    use_gpu = ray.cluster_resources().get("GPU", 0) >= workers.num_workers
    largest = max(node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"])
    storage = first.scratch / "ray-train"
    shutil.rmtree(storage, ignore_errors=True)  # Train would resume a run of this name in its own way
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"jobs": list(jobs), "backend": backend},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": min(workers.cpus_per_worker, largest)} | ({"GPU": 1} if use_gpu else {}),
        ),
        run_config=RunConfig(
            name=first.key,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    with _following(jobs), own_signals():
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise _cause(error) from error
    unfinished = [job.artifact.stage for job in jobs if not job.artifact.exists]
    if unfinished:
        raise Failed(f"training ended without a result of {', '.join(unfinished)}: run the same command again")


def _cause(error: ray.train.TrainingFailedError) -> RayDefenseError:
    """Returns the first error of ours that a worker raised, else Failed with what Ray says."""
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        while failure is not None:
            if isinstance(failure, RayDefenseError):
                return failure
            failure = getattr(failure, "cause", None) or failure.__cause__
    return Failed(f"training failed {MAX_FAILURES + 1} times; run the same command again to resume ({error})")


@contextlib.contextmanager
def _following(jobs: Sequence[TrainJob]) -> Iterator[None]:
    """Tells the progress that workers write, from a thread, as long as the body runs."""
    done = threading.Event()

    def follow() -> None:
        while not done.wait(0.5):
            for job in jobs:
                with contextlib.suppress(OSError, json.JSONDecodeError):
                    epoch = json.loads((job.artifact.scratch / _PROGRESS).read_bytes())["epoch"]
                    progress.tell(job.artifact.stage, epoch, job.num_epochs)
        for job in jobs:
            if job.artifact.exists:
                progress.tell(job.artifact.stage, job.num_epochs, job.num_epochs)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(follow,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
