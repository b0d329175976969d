"""An executor that notes of every call when it came, when its work began and ended, and its end.

It does what another executor does. What the work leaves are files of seconds since the epoch, so
that work in other processes counts, too.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray_defense.execution.protocols import (
    Backend,
    BlockJob,
    BlockWork,
    ClusterResources,
    Executor,
    IngestJob,
    Item,
    Output,
    TrainJob,
    TrialsJob,
)

Clock = Callable[[], float]  # seconds since the epoch


@dataclass(frozen=True)
class TimedFunction:
    """A function that leaves when it began and when it ended, in a file of its process."""

    function: Callable[..., Any]
    folder: Path
    clock: Clock = time.time

    def __call__(self, *arguments: Any) -> Any:
        """Returns what the function returns."""
        with open(self.folder / str(os.getpid()), "a") as file:
            file.write(f"{self.clock()}\n")
            try:
                return self.function(*arguments)
            finally:
                file.write(f"{self.clock()}\n")


@dataclass(frozen=True)
class TimedBlocks:
    """The work of a block job, each block timed."""

    work: TimedFunction

    def __call__(self, block: Any) -> None:
        """Makes the parts of one block."""
        self.work(block)


@dataclass(frozen=True)
class TimedOpen:
    """Opens the work of a block job such that each block is timed, and opening it is not."""

    open: Callable[..., BlockWork[Any]]
    folder: Path
    clock: Clock

    def __call__(self, inputs: Any, device: Any, backend: Backend) -> BlockWork[Any]:
        """Returns the timed work."""
        work = self.open(inputs, device, backend)
        return TimedBlocks(TimedFunction(work, self.folder, self.clock))


@dataclass(frozen=True)
class CallTimes:
    """One call of an executor: start-up until its first unit of work began, work, tear-down."""

    call: str
    num_processes: int
    startup_s: float
    work_s: float
    teardown_s: float


class TimedExecutor:
    """Does what another executor does and notes the times of every call that works."""

    def __init__(self, inner: Executor, folder: Path, clock: Clock = time.time):
        """Creates the executor.

        Args:
            inner: Does the work; it stays open.
            folder: An empty folder that all processes see.
            clock: Tells the time, in this process and in those that work.
        """
        self.name = inner.name
        self.calls: list[CallTimes] = []
        self._inner = inner
        self._folder = folder
        self._clock = clock

    def check_store(self, root: Path) -> None:
        self._inner.check_store(root)

    def ingest(self, job: IngestJob) -> None:
        def call(folder: Path) -> None:
            read = TimedFunction(job.read, folder, self._clock)
            write = TimedFunction(job.write, folder, self._clock)
            self._inner.ingest(replace(job, read=read, write=write))

        self._note("ingest", call)

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        def call(folder: Path) -> None:
            self._inner.train(self._timed_jobs(jobs, folder))

        self._note(_name_of_training("train", jobs), call)

    def train_side_by_side(self, jobs: Sequence[TrainJob[Any]]) -> None:
        def call(folder: Path) -> None:
            self._inner.train_side_by_side(self._timed_jobs(jobs, folder))

        self._note(_name_of_training("train_side_by_side", jobs), call)

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        def call(folder: Path) -> None:
            self._inner.run_blocks(replace(job, open=TimedOpen(job.open, folder, self._clock)))

        self._note(f"run_blocks {job.task}", call)

    def map(self, function: Callable[[Item], Output], items: Sequence[Item]) -> list[Output]:
        outputs: list[Output] = []

        def call(folder: Path) -> None:
            outputs.extend(self._inner.map(TimedFunction(function, folder, self._clock), items))

        self._note("map", call)
        return outputs

    def resources(self, cpus_per_actor: int) -> ClusterResources:
        return self._inner.resources(cpus_per_actor)

    def run_trials(self, job: TrialsJob) -> None:
        self._inner.run_trials(job)

    def close(self) -> None:
        self._inner.close()

    def _timed_jobs(self, jobs: Sequence[TrainJob[Any]], folder: Path) -> list[TrainJob[Any]]:
        timed = []
        for job in jobs:
            timed.append(replace(job, program=TimedFunction(job.program, folder, self._clock)))
        return timed

    def _note(self, name: str, call: Callable[[Path], None]) -> None:
        folder = self._folder / str(len(self.calls))
        folder.mkdir()
        start = self._clock()
        call(folder)
        end = self._clock()
        files = list(folder.iterdir())
        times: list[float] = []
        for file in files:
            times.extend(map(float, file.read_text().split()))
        times_of_call = CallTimes(
            call=name,
            num_processes=len(files),
            startup_s=round(min(times) - start, 3),
            work_s=round(max(times) - min(times), 3),
            teardown_s=round(end - max(times), 3),
        )
        self.calls.append(times_of_call)


def _name_of_training(method: str, jobs: Sequence[TrainJob[Any]]) -> str:
    return f"{method} " + ", ".join(job.artifact.stage for job in jobs)
