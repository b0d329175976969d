"""Trainings that a kill interrupts in the middle of an epoch."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest

from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Metrics, TrainJob, Worker
from ray_defense.training.loop import Stateful, run_epochs
from tests.support.steps import CPU


class KilledAndResumed(LocalExecutor):
    """Kills every training at the end of one epoch, before its checkpoint; then resumes it."""

    def __init__(self, module: ModuleType, epoch: int, monkeypatch: pytest.MonkeyPatch):
        """Creates the executor.

        Args:
            module: The module whose `run_epochs` is interrupted.
            epoch: The epoch that is lost, from 0.
            monkeypatch: Of the test.
        """
        super().__init__("numpy", CPU)
        self.module = module
        self.epoch = epoch
        self.monkeypatch = monkeypatch

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        with self.monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(self.module, "run_epochs", self._run_killed_epochs)
            super().train(jobs)
        super().train(jobs)

    def _run_killed_epochs(
        self,
        worker: Worker,
        parts: Mapping[str, Stateful],
        epochs: Sequence[Callable[[], Metrics]],
    ) -> list[Metrics]:
        def run_and_die() -> Metrics:
            epochs[self.epoch]()
            raise KeyboardInterrupt

        return run_epochs(worker, parts, [*epochs[: self.epoch], run_and_die])
