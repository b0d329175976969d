"""Scoring on actors: the bytes do not depend on how many there are or which of them die."""

import importlib.util
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import DamageError
from ray_defense.detectors.feature_scorer import Block
from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, BlockJob
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import Plan
from ray_defense.stages.detect import EvidenceInputs
from ray_defense.stages.evidence import BlockScorer
from ray_defense.store.artifacts import Store
from ray_defense.store.record import RECORD
from tests.support.finished_plan import evidence_again

pytestmark = pytest.mark.ray


class DyingScorer(BlockScorer):
    """A scorer whose process is killed in the middle of block 2, once."""

    def __init__(
        self, marker: Path, inputs: EvidenceInputs, device: torch.device, backend: Backend
    ):
        super().__init__(inputs, device, backend)
        self._marker = marker

    def __call__(self, block: Block) -> None:
        if block.number == 2 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().__call__(block)


class DyingActorsExecutor(ExecutorOnDemand):
    """Two actors on Ray, one of which is killed over block 2."""

    def __init__(self, marker: Path):
        super().__init__("ray", partial(start_executor, "numpy", Placement(actors=2)))
        self._marker = marker

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        super().run_blocks(replace(job, open=partial(DyingScorer, self._marker)))


def test_one_actor_gives_the_bytes_of_two_also_through_ffcv(ray_plan: Plan, tmp_path: Path) -> None:
    """Row 2 of the faults: another number of actors gives the same bits."""
    step = evidence_again(tmp_path, ray_plan)
    backend: Backend = "ffcv" if importlib.util.find_spec("ffcv") else "numpy"
    make_steps([step], Store(tmp_path), start_executor(backend, Placement(actors=1)))
    assert step.artifact.hashes == ray_plan.evidence.artifact.hashes


def test_a_killed_actor_costs_its_blocks_and_changes_no_byte(
    ray_plan: Plan, tmp_path: Path
) -> None:
    """Row 1 of the faults: SIGKILL of a scoring actor."""
    step = evidence_again(tmp_path, ray_plan)
    marker = tmp_path / "killed"
    make_steps([step], Store(tmp_path), DyingActorsExecutor(marker))
    assert marker.exists()
    assert step.artifact.hashes == ray_plan.evidence.artifact.hashes


def test_an_error_of_an_actor_is_the_error_itself(ray_plan: Plan, tmp_path: Path) -> None:
    lost = replace(ray_plan.probe.artifact, path=tmp_path / "lost")
    # Its record is there, so that it counts as finished, and its weights are not.
    lost.path.mkdir()
    (lost.path / RECORD).touch()
    step = evidence_again(tmp_path, ray_plan, replace(ray_plan.probe, artifact=lost))
    executor = start_executor("numpy", Placement(actors=1))
    with pytest.raises(DamageError, match="lost"):
        make_steps([step], Store(tmp_path), executor)
