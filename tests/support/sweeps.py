"""What tests of sweeps share: executors that record or stop trials, and rows of a table."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ray_defense.core.errors import TrialStopped
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import (
    BlockJob,
    EarlyStopping,
    Metrics,
    TrainJob,
    TrialsJob,
)
from ray_defense.store.artifacts import Artifact
from ray_defense.sweeps.grid import Trial

Row = dict[str, Any]


class RecordingExecutor(LocalExecutor):
    """Records what it trains outside of trials, how often it scores, and the trials it is given.

    Attributes:
        trained: The stages that were trained.
        num_passes: How often a dataset was scored.
        batches: The numbers of the trials, a list for each call.
    """

    def __init__(self) -> None:
        super().__init__("numpy")
        self.trained: list[str] = []
        self.num_passes = 0
        self.batches: list[list[int]] = []

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        self.trained += [job.artifact.stage for job in jobs]
        super().train(jobs)

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        self.num_passes += 1
        super().run_blocks(job)

    def run_trials(self, job: TrialsJob) -> None:
        self.batches.append([trial.number for trial in job.trials])
        self.run_each(job)

    def run_each(self, job: TrialsJob) -> None:
        """Runs the trials in this executor."""
        super().run_trials(job)


class TrialsApartExecutor(RecordingExecutor):
    """A recording executor that does not record what its trials train."""

    def run_each(self, job: TrialsJob) -> None:
        for trial in job.trials:
            job.run(trial, LocalExecutor("numpy"))


class StoppingExecutor(RecordingExecutor):
    """Stops the trial whose probe has a given learning rate after two epochs of the probe.

    Attributes:
        heard: The number of the trial and of the epoch, for each epoch that could be compared.
    """

    name = "stopping"  # "local" cannot compare trials

    def __init__(self, stopped_rate: float) -> None:
        super().__init__()
        self.stopped_rate = stopped_rate
        self.heard: list[tuple[int, int]] = []

    def run_each(self, job: TrialsJob) -> None:
        for trial in job.trials:
            listener = None
            if job.early_stopping is not None:
                listener = partial(self._compare, job.early_stopping, trial)
            try:
                job.run(trial, LocalExecutor("numpy", on_epoch_end=listener))
            except TrialStopped:
                assert job.early_stopping is not None
                job.early_stopping.record_stop(trial, 2)

    def _compare(
        self, stopping: EarlyStopping, trial: Trial, stage: str, number: int, metrics: Metrics
    ) -> None:
        if stage != stopping.stage or stopping.metric not in metrics:
            return
        self.heard.append((trial.number, number))
        if trial.recipe.probe.sgd.learning_rate == self.stopped_rate and number == 2:
            raise TrialStopped("after 2 epochs")


def rows_of(sweep: Artifact) -> list[Row]:
    """Returns the rows of a finished sweep."""
    return read_rows(sweep.path / "table.parquet")


def unfinished_rows(store: Path) -> list[Row]:
    """Returns the rows that a sweep with failed trials left in its working directory."""
    (table,) = store.glob("sweep/*.work/table.parquet")
    return read_rows(table)


def column(rows: list[Row], name: str) -> list[Any]:
    """Returns the value of each row in one column."""
    return [row[name] for row in rows]


def read_rows(table: Path) -> list[Row]:
    """Returns the rows of a table."""
    rows: list[Row] = pq.read_table(table).to_pylist()
    return rows
