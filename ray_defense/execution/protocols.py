"""The two seams: `Executor`, what a driver sees of a cluster, and `Worker`, what training sees.

Both have a trivial side in one process (`execution.local`) and one on Ray (`cluster`). Every
executor gives the same artifacts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    import torch

Backend = Literal["auto", "ffcv", "numpy"]  # who reads the shards; the tensors are the same
Metrics = dict[str, float]

Inputs = TypeVar("Inputs")
Item = TypeVar("Item")
Output = TypeVar("Output")
Block = TypeVar("Block", contravariant=True)


class Worker(Protocol):
    """One training process among `world_size`."""

    rank: int
    world_size: int
    device: "torch.device"
    backend: Backend

    def wrap(self, model: "torch.nn.Module", *, partly_used: bool = False) -> "torch.nn.Module":
        """Returns the model such that its backward pass averages gradients over all workers.

        Args:
            model: The model, on the device of this worker.
            partly_used: Whether some losses leave some parameters out, which keep no gradient.
        """

    def synchronize(self, model: "torch.nn.Module") -> None:
        """Gives every worker the buffers (batch statistics) of rank 0; called as an epoch ends."""

    def gather(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Returns the tensors of all workers, [world_size * B, ...], with gradient to each."""

    def sum(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Returns the sum of the tensors of all workers, without gradient."""

    def report_epoch(self, number: int, metrics: Metrics) -> None:
        """Tells the driver that epoch `number` (from 1) has ended, checkpoint included.

        Raises:
            TrialStopped: If a scheduler ends this training here.
        """

    def save(self, state: Mapping[str, Any]) -> None:
        """Keeps a checkpoint, whole or not at all, in place of the one before."""

    def load(self) -> dict[str, Any] | None:
        """Returns the newest checkpoint, or None."""


@dataclass(frozen=True)
class TrainJob(Generic[Inputs]):
    """The training of one artifact: `program(worker, artifact, inputs)` fills its `work`.

    The program is a function of an importable module. Rank 0 publishes the artifact afterwards.
    """

    program: Callable[[Worker, Artifact, Inputs], None]
    artifact: Artifact
    inputs: Inputs
    workers: WorkerGroup
    num_epochs: int  # for the progress display


class BlockWork(Protocol[Block]):
    """What makes the parts of a block, opened once a process and used for many blocks."""

    def __call__(self, block: Block) -> None:
        """Writes the parts of one block, each whole or not at all."""


@dataclass(frozen=True)
class BlockJob(Generic[Inputs, Item]):
    """Independent blocks of work over one dataset."""

    task: str  # for the progress display
    open: Callable[[Inputs, "torch.device", Backend], BlockWork[Item]]
    inputs: Inputs
    blocks: Sequence[Item]
    parts: Callable[[Inputs, Item], Sequence[Path]]  # the files that stand once a block is done
    cpus_per_actor: int  # threads of torch in each process
    patience_s: float = 900.0  # without a finished block: something hangs

    def missing_blocks(self) -> list[Item]:
        """Returns the blocks of which a part is not there yet."""
        missing = []
        for block in self.blocks:
            if not all(part.exists() for part in self.parts(self.inputs, block)):
                missing.append(block)
        return missing


Columns = dict[str, Any]  # NumPy arrays of equal length, by name


@dataclass(frozen=True)
class IngestJob:
    """Ranges of a source, each read, changed and written as one shard."""

    ranges: Sequence[tuple[int, int]]
    read: Callable[[int, int], Columns]
    change: Callable[[Columns], Columns]
    write: Callable[[Columns], Columns]
    patience_s: float = 1800.0  # without a finished range: something hangs


@dataclass(frozen=True)
class EarlyStopping:
    """Stops the trials of a sweep that do worse than most others after as many epochs (ASHA)."""

    stage: str  # the training stage whose epochs are compared
    metric: str  # one of the metrics of such an epoch
    mode: Literal["max", "min"]  # whether more or less of it is better
    num_epochs: int  # of that stage in the longest trial
    record_stop: Callable[[Any, int], None]  # keeps which trial was stopped, and after which epoch


@dataclass(frozen=True)
class TrialsJob:
    """Independent trials: `run(trial, executor)` keeps a result of each, and raises without one."""

    run: Callable[[Any, "Executor"], None]
    trials: Sequence[Any]
    workers: Sequence[WorkerGroup]  # the largest group of each trial
    folder: Path  # for what the executor keeps while it runs
    early_stopping: EarlyStopping | None = None  # None: every trial runs to its end


@dataclass(frozen=True)
class ClusterResources:
    """What there is to run on."""

    num_nodes: int
    num_cpus: int
    num_gpus: int
    num_actors: int  # for blocks, that may run at a time


class Executor(Protocol):
    """Where work runs."""

    name: str

    def check_store(self, root: Path) -> None:
        """Raises InputError if work may run where `root` is not the directory it is here."""

    def ingest(self, job: IngestJob) -> None:
        """Reads, changes and writes each range of a source."""

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        """Runs training jobs one after another in one group of workers and publishes each."""

    def train_side_by_side(self, jobs: Sequence[TrainJob[Any]]) -> None:
        """Runs independent jobs of one worker each, as many at a time as there is room for.

        Each is published when it ends. Where one fails the others end first, then its error is
        raised.
        """

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        """Makes every missing part of a block job."""

    def map(self, function: Callable[[Item], Output], items: Sequence[Item]) -> list[Output]:
        """Returns `[function(item) for item in items]`, in order."""

    def resources(self, cpus_per_actor: int) -> ClusterResources:
        """Returns what is free, for actors of so many CPUs each."""

    def run_trials(self, job: TrialsJob) -> None:
        """Runs every trial; one that fails leaves the others alone and is not reported here."""

    def close(self) -> None:
        """Gives back what the executor holds."""
