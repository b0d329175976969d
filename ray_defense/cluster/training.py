"""Training jobs on Ray Train: one fit runs several jobs, restarts what dies, and resumes.

Checkpoints are our own files in the scratch directories of the artifacts.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context, report
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.config import LoggingConfig

from ray_defense.cluster.collectives import gather_with_gradient
from ray_defense.cluster.errors import describe_loss, ray_errors_told
from ray_defense.cluster.patience import Patience, Watchdog
from ray_defense.cluster.resources import cpu_slots, gpus_for_each, largest_node_cpus
from ray_defense.cluster.signal_handlers import kept_signal_handlers
from ray_defense.cluster.written_progress import progress_followed, write_progress
from ray_defense.core.errors import InputError, RayDefenseError, RunError
from ray_defense.core.sealed import read_sealed_json, write_sealed_json
from ray_defense.execution.checkpoint import load_checkpoint, save_checkpoint
from ray_defense.execution.local import run_train_job
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, Metrics, TrainJob
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.store.artifacts import Artifact

MAX_FAILURES = 3  # of the worker group: each restart resumes after the last checkpoint
_ERROR = "error.json"


class RayWorker:
    """One process of a Ray Train worker group (see `execution.protocols.Worker`)."""

    def __init__(self, artifact: Artifact, backend: Backend, on_epoch_end: Callable[[], None]):
        context = get_context()
        self.artifact = artifact
        self._on_epoch_end = on_epoch_end
        self.backend: Backend = backend
        self.device: torch.device = get_device()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()

    def wrap(self, model: torch.nn.Module, *, partly_used: bool = False) -> torch.nn.Module:
        if self.world_size == 1:
            return model
        return torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=partly_used)

    def synchronize(self, model: torch.nn.Module) -> None:
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return gather_with_gradient(tensor) if self.world_size > 1 else tensor

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.world_size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def report_epoch(self, number: int, metrics: Metrics) -> None:
        if self.rank == 0:
            write_progress(self.artifact, number, metrics)
        self._on_epoch_end()

    def save(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.artifact.scratch, state)

    def load(self) -> dict[str, Any] | None:
        return load_checkpoint(self.artifact.scratch, self.device)


def train_loop(config: dict[str, Any]) -> None:
    """What every worker of the group runs: the jobs in order.

    Jobs that were published before a restart are skipped.
    """
    error_file = Path(config["folder"]) / _ERROR
    if error_file.exists():
        # Restarted after an error of ours: the same work would end the same way.
        raise _read_error(error_file)
    jobs = config["jobs"]
    patience = Patience(config["patience_s"])
    try:
        with Watchdog(jobs[0].artifact.stage, patience, error_file):
            for job in jobs:
                run_train_job(RayWorker(job.artifact, config["backend"], patience.news), job)
                patience.news()
    except RayDefenseError as error:
        write_sealed_json(error_file, {"type": type(error).__name__, "message": str(error)})
        raise
    report({"num_jobs_done": len(config["jobs"])})


def _read_error(path: Path) -> RayDefenseError:
    plain = read_sealed_json(path)
    kind = InputError if plain["type"] == InputError.__name__ else RunError
    return kind(plain["message"])


def train_in_group(
    jobs: Sequence[TrainJob[Any]], backend: Backend, placement: Placement, patience_s: float
) -> None:
    """Runs jobs that want the same group of workers in one Ray Train run.

    Args:
        jobs: The jobs.
        backend: Who reads the shards.
        placement: How the workers are spread over the cluster.
        patience_s: How long a worker may finish no epoch before all are given up.

    Raises:
        InputError: If the cluster has no room for the group, or a job raised it.
        RunError: If a job raised it, or training failed again and again.
    """
    group = jobs[0].workers
    first = jobs[0].artifact
    num_gpus = gpus_for_each(placement.gpus_per_worker, group.num_workers)
    _check_room(group, first.stage, placement)
    folder = first.path.parents[1] / "ray-train" / first.key
    shutil.rmtree(folder, ignore_errors=True)  # Train would resume a run of this name its own way
    folder.mkdir(parents=True)
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={
            "jobs": list(jobs),
            "backend": backend,
            "folder": str(folder),
            "patience_s": patience_s,
        },
        scaling_config=ScalingConfig(
            num_workers=group.num_workers,
            use_gpu=num_gpus > 0,
            resources_per_worker=worker_resources(group.cpus_per_worker, num_gpus),
            placement_strategy="SPREAD" if placement.spread else "PACK",
        ),
        run_config=RunConfig(
            name=first.key,
            storage_path=str(folder),
            failure_config=FailureConfig(
                max_failures=MAX_FAILURES, controller_failure_limit=MAX_FAILURES
            ),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    with progress_followed(jobs), kept_signal_handlers(), ray_errors_told(first.stage):
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            if (folder / _ERROR).exists():
                raise _read_error(folder / _ERROR) from error
            raise RunError(
                f"{first.stage}: training failed {MAX_FAILURES + 1} times; run the same command "
                f"again to resume ({describe_loss(error)})"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    unfinished = [job.artifact.stage for job in jobs if not job.artifact.exists]
    if unfinished:
        raise RunError(
            f"training ended without a result of {', '.join(unfinished)}: "
            "run the same command again"
        )


def worker_resources(num_cpus: int, num_gpus: float) -> dict[str, float]:
    """Returns what Ray is asked for one training process; no more CPUs than a node has."""
    resources: dict[str, float] = {"CPU": min(num_cpus, largest_node_cpus())}
    if num_gpus:
        resources["GPU"] = num_gpus
    return resources


def _check_room(group: WorkerGroup, stage: str, placement: Placement) -> None:
    """Raises InputError for a group that the cluster could never place.

    Where nothing is up yet, or a GPU is waited for, an autoscaler may bring nodes.
    """
    slots = cpu_slots(group.cpus_per_worker)
    if slots and placement.gpus_per_worker is None and group.num_workers > slots:
        raise InputError(
            f"{stage} wants {group.num_workers} workers of {group.cpus_per_worker} CPUs and the "
            f"cluster has room for {slots}: lower workers.num_workers, which changes the result, "
            "or add nodes"
        )
