"""Training jobs on Ray Train: one fit runs several jobs one after another, restarts what dies, resumes from our checkpoints."""

import contextlib
import contextvars
import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context, report
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.config import LoggingConfig

from ray_defense.cluster.collectives import gather
from ray_defense.cluster.resources import cpu_slots, gpus_each, largest_node
from ray_defense.cluster.signals import own_signals
from ray_defense.core import progress
from ray_defense.core.errors import Failed, RayDefenseError, Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.execution.checkpoint import load_checkpoint, save_checkpoint
from ray_defense.execution.local import run_job
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, TrainJob

MAX_FAILURES = 3  # of the worker group: each restart resumes after the last finished epoch
_PROGRESS, _ERROR = "progress.json", "error.json"


class RayWorker:
    """One process of a Ray Train worker group (see `core.seams.Worker`)."""

    def __init__(self, job: TrainJob, backend: Backend):
        self.job, self.backend, self.device = job, backend, get_device()
        self.rank, self.world_size = get_context().get_world_rank(), get_context().get_world_size()

    def wrap(self, model: torch.nn.Module, *, partly_used: bool = False) -> torch.nn.Module:
        if self.world_size == 1:
            return model
        return torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=partly_used)

    def synchronize(self, model: torch.nn.Module) -> None:
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

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
    said = Path(config["folder"]) / _ERROR
    if said.exists():
        raise _said(said)  # restarted after an error of ours: the same work would end the same way
    try:
        for job in config["jobs"]:
            run_job(RayWorker(job, config["backend"]), job)
    except RayDefenseError as error:
        write_json(said, {"type": type(error).__name__, "message": str(error)})
        raise
    report({"done": len(config["jobs"])})


def _said(path: Path) -> RayDefenseError:
    plain = read_json(path)
    return {"Refused": Refused}.get(plain["type"], Failed)(plain["message"])


def fit(jobs: Sequence[TrainJob], backend: Backend, placement: Placement) -> None:
    """Runs jobs that want the same group of workers in one Ray Train run; raises what a job raised, or Failed."""
    workers, first = jobs[0].config.workers, jobs[0].artifact
    num_gpus = gpus_each(placement.gpus_per_worker, workers.num_workers)
    slots = cpu_slots(workers.cpus_per_worker)
    # where nothing is up yet, or a GPU is waited for, an autoscaler may bring nodes
    if slots and placement.gpus_per_worker is None and workers.num_workers > slots:
        raise Refused(
            f"{first.stage} wants {workers.num_workers} workers of {workers.cpus_per_worker} CPUs and the cluster has room "
            f"for {slots}: lower workers.num_workers, which changes the result, or add nodes"
        )
    resources = {"CPU": min(workers.cpus_per_worker, largest_node())} | ({"GPU": num_gpus} if num_gpus else {})
    folder = first.path.parents[1] / "ray-train" / first.key
    shutil.rmtree(folder, ignore_errors=True)  # Train would resume a run of this name in its own way
    folder.mkdir(parents=True)
    said = folder / _ERROR
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"jobs": list(jobs), "backend": backend, "folder": str(folder)},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=num_gpus > 0,
            resources_per_worker=resources,
            placement_strategy="SPREAD" if placement.spread else "PACK",
        ),
        run_config=RunConfig(
            name=first.key,
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    with _following(jobs), own_signals():
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            if said.exists():
                raise _said(said) from error
            raise Failed(f"training failed {MAX_FAILURES + 1} times; run the same command again to resume ({error})") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    unfinished = [job.artifact.stage for job in jobs if not job.artifact.exists]
    if unfinished:
        raise Failed(f"training ended without a result of {', '.join(unfinished)}: run the same command again")


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
