"""An executor that is started when work reaches it, so that a cached run starts no Ray."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray_defense.execution.protocols import (
    BlockJob,
    ClusterResources,
    Executor,
    IngestJob,
    Item,
    Output,
    TrainJob,
    TrialsJob,
)


class ExecutorOnDemand:
    """Forwards every call to an executor that the first of them starts."""

    def __init__(self, name: str, start: Callable[[], Executor]):
        """Creates the executor without starting anything.

        Args:
            name: The name of the executor that `start` returns.
            start: Starts it.
        """
        self.name = name
        self._start = start
        self._started: Executor | None = None

    @property
    def started(self) -> Executor:
        """The executor behind this one."""
        if self._started is None:
            self._started = self._start()
        return self._started

    def check_store(self, root: Path) -> None:
        self.started.check_store(root)

    def ingest(self, job: IngestJob) -> None:
        self.started.ingest(job)

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        self.started.train(jobs)

    def train_side_by_side(self, jobs: Sequence[TrainJob[Any]]) -> None:
        self.started.train_side_by_side(jobs)

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        self.started.run_blocks(job)

    def map(self, function: Callable[[Item], Output], items: Sequence[Item]) -> list[Output]:
        return self.started.map(function, items)

    def resources(self, cpus_per_actor: int) -> ClusterResources:
        return self.started.resources(cpus_per_actor)

    def run_trials(self, job: TrialsJob) -> None:
        self.started.run_trials(job)

    def close(self) -> None:
        if self._started is not None:
            self._started.close()
