"""The seams that keep Ray out of the algorithms: `Executor`, what a driver sees; `Worker`, what a training process sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    import torch

Backend = Literal["auto", "ffcv", "numpy"]  # who reads the shards; the tensors are the same


class Worker(Protocol):
    """One training process among `world_size`."""

    rank: int
    world_size: int
    device: "torch.device"
    backend: Backend

    def wrap(self, model: "torch.nn.Module", *, partly_used: bool = False) -> "torch.nn.Module":
        """Returns the model whose backward pass averages gradients over all workers.

        `partly_used` says that some losses leave some parameters out; those then keep no gradient.
        """

    def synchronize(self, model: "torch.nn.Module") -> None:
        """Gives every worker the buffers (batch statistics) of rank 0, at the end of an epoch, before a model is used."""

    def gather(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Returns [world_size * B, ...], the workers' tensors in rank order, with gradient to every worker."""

    def sum(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Returns the sum over all workers, without gradient."""

    def report(self, progress: Mapping[str, Any]) -> None:
        """Tells the driver how far the job is."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keeps a checkpoint, whole or not at all, in place of the one before."""

    def load(self) -> dict[str, Any] | None:
        """Returns the newest checkpoint, or None."""


@dataclass(frozen=True)
class TrainJob:
    """One training stage: `program(worker, job)` fills `artifact.work`; rank 0 publishes."""

    program: Callable[[Worker, "TrainJob"], None]  # a function of an importable module
    config: Any  # the stage's frozen dataclass; its `workers` says how many
    seed: int
    artifact: Artifact
    inputs: dict[str, Artifact]
    settings: dict[str, Any] = field(default_factory=dict)  # what stages share: normalization
    num_epochs: int = 0  # for the progress display


@dataclass(frozen=True)
class BlockJob:
    """Independent blocks of work: `build(job, device, backend)` returns a function of a block that writes its part."""

    build: Callable[["BlockJob", "torch.device", Backend], Callable[[Any], None]]
    blocks: Sequence[Any]
    parts: Callable[["BlockJob", Any], Sequence[Path]]  # what stands when a block is done
    config: Any
    seed: int
    artifact: Artifact
    inputs: dict[str, Artifact]
    settings: dict[str, Any] = field(default_factory=dict)
    patience_s: float = 900.0  # no block in this time, in seconds: something hangs

    def missing(self) -> list[Any]:
        """Returns the blocks of which a part is not there yet."""
        return [block for block in self.blocks if not all(part.exists() for part in self.parts(self, block))]


@dataclass(frozen=True)
class IngestJob:
    """Ranges of a source, each read, changed and written as one shard; a batch is a dict of NumPy columns."""

    ranges: Sequence[tuple[int, int]]
    read: Callable[[int, int], dict[str, Any]]
    change: Callable[[dict[str, Any]], dict[str, Any]]
    write: Callable[[dict[str, Any]], dict[str, Any]]
    patience_s: float = 1800.0  # no range in this time, in seconds: something hangs


@dataclass(frozen=True)
class Judge:
    """Stops trials (ASHA): those whose `metric` after some epochs of `stage` is worse than that of most others then."""

    stage: str  # of the training job
    metric: str  # what its epochs give
    mode: Literal["max", "min"]  # what is better
    num_epochs: int  # that give it in the longest trial
    stop: Callable[[Any, int], None]  # leaves a result of a trial that was stopped, and after how many epochs


@dataclass(frozen=True)
class SweepJob:
    """Independent trials: `run(trial, executor)` leaves a result of each, and raises where there is none."""

    run: Callable[[Any, "Executor"], None]
    trials: Sequence[Any]
    workers: Sequence[tuple[int, int]]  # of each trial: training processes, CPUs of each
    folder: Path  # for what the executor keeps while it runs
    judge: Judge | None = None  # None: every trial runs to its end


@dataclass(frozen=True)
class Room:
    """What there is to run on."""

    nodes: int
    cpus: int
    gpus: int
    actors: int  # that may score at a time


class Executor(Protocol):
    """Where work runs. Every executor gives the same artifacts."""

    name: str

    def check_store(self, root: Path) -> None:
        """Raises Refused where work may run that does not see the directory `root` as this process does."""

    def ingest(self, job: IngestJob) -> None:
        """Runs read -> change -> write for each range."""

    def train(self, jobs: Sequence[TrainJob]) -> None:
        """Runs training jobs one after another in one group of workers and publishes each."""

    def score(self, job: BlockJob) -> None:
        """Makes every missing part of a block job."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Returns [function(item) for item in items], in order."""

    def room(self, cpus_per_actor: int) -> Room:
        """Returns what there is to run on, for scoring actors of so many CPUs each."""

    def sweep(self, job: SweepJob) -> None:
        """Runs every trial; one that fails leaves the others alone and is not reported here."""

    def close(self) -> None:
        """Gives back what the executor holds."""
