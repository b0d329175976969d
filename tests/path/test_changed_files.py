"""Files that change under a store, or during a run, change what is made from them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ray_defense
from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.trojan import Trojan
from ray_defense.core.errors import RunError
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor, TrainJob
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import result_of, run_plan
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import Store
from tests.support import tiny


class MeddlingExecutor(LocalExecutor):
    """Changes files before it trains for the first time, as somebody else may during a run."""

    def __init__(self, meddle: Callable[[], object]):
        super().__init__("numpy")
        self.meddle: Callable[[], object] | None = meddle

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        if self.meddle is not None:
            self.meddle()
            self.meddle = None
        super().train(jobs)


def run_recipe(recipe: Recipe, store: Path, executor: Executor | None = None) -> Result:
    plan = plan_recipe(recipe, Store(store))
    return result_of(run_plan(plan, executor or LocalExecutor("numpy")))


def touch_training_set(folder: Path) -> Callable[[], object]:
    return lambda: os.utime(folder / "train.parquet", ns=(1, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Digits that a test may change."""
    folder = tmp_path / "data"
    folder.mkdir()
    tiny.write_digits(folder, 256, 64)
    return folder


def test_a_test_set_that_comes_later_is_evaluated(folder: Path, tmp_path: Path):
    test = folder / "test.parquet"
    aside = test.rename(tmp_path / "later")
    recipe = replace(tiny.recipe(folder), defenses=())
    without = ray_defense.run(recipe, store=tmp_path / "store", backend="numpy")
    assert without.backdoored.acc is None
    assert without.backdoored.num_clean == 0
    aside.rename(test)
    result = ray_defense.run(recipe, store=tmp_path / "store", backend="numpy")
    assert result.backdoored.num_clean == 64


def test_a_test_set_that_changes_during_a_run_is_evaluated_as_it_is_then(
    folder: Path, tmp_path: Path
):
    recipe = replace(tiny.recipe(folder), defenses=())
    other = tmp_path / "other"
    other.mkdir()
    tiny.write_digits(other, 32, 32)
    meddling = MeddlingExecutor(lambda: (other / "test.parquet").replace(folder / "test.parquet"))
    result = run_recipe(recipe, tmp_path / "store", meddling)
    assert meddling.meddle is None
    assert result == run_recipe(recipe, tmp_path / "store")
    assert result.backdoored.num_clean == 32


def test_a_training_set_that_changes_once_it_is_poisoned_does_not_stop_a_run(
    folder: Path, tmp_path: Path
):
    recipe = replace(tiny.recipe(folder), backdoored=None, defenses=())
    undisturbed = run_recipe(recipe, tmp_path / "a")
    meddling = MeddlingExecutor(touch_training_set(folder))
    disturbed = run_recipe(recipe, tmp_path / "b", meddling)
    assert meddling.meddle is None
    assert disturbed.score == undisturbed.score


@pytest.mark.parametrize("attack", [LabelConsistent(), Trojan(steps=2)])
def test_a_training_set_that_changes_before_it_is_poisoned_ends_a_run_with_a_reason(
    attack: Attack, folder: Path, tmp_path: Path
):
    recipe = replace(tiny.recipe(folder), attack=attack, backdoored=None, defenses=())
    meddling = MeddlingExecutor(touch_training_set(folder))
    expected = "files of the source changed while the run was under way: run again"
    with pytest.raises(RunError, match=expected):
        run_recipe(recipe, tmp_path / "store", meddling)
    assert run_recipe(recipe, tmp_path / "store").score.auroc is not None
