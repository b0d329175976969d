"""A search is led by what needs no truth, repeats itself, and resumes after its driver's death."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import TrialsJob
from ray_defense.pipeline.recipe import Recipe
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.grid import Axis, Trial, grid_trials, parse_axis
from ray_defense.sweeps.search import Search
from ray_defense.sweeps.sweep import locate_sweep, plan_trials, run_sweep
from tests.support.sweeps import TrialsApartExecutor, column, rows_of


@pytest.mark.parametrize(
    "metric", ["auroc", "flagged_precision", "backdoored_asr", "d_st_acc", "weak_attack"]
)
def test_a_search_led_by_truth_or_test_set_is_refused(metric: str):
    with pytest.raises(InputError, match=f"^{metric} needs the truth or the test set"):
        Search(4, metric, "max")


def test_a_search_is_refused_that_nothing_could_lead(base: Recipe, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="did you mean 'trusted_balance'"):
        Search(4, "trusted_balanc", "max")
    trials = grid_trials(base, [Axis("seed", ("0", "1"))])
    expected = "no trial has a backdoored_loss: none has the stage backdoored;"
    with pytest.raises(InputError, match=expected):
        Search(4, "backdoored_loss", "min").check(trials)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'ray_defense\[hpo\]'"):
        Search(4, "separation", "max").check(trials)


def square_grid(base: Recipe, side: int = 8) -> list[Trial]:
    """Returns a grid of side^2 trials."""
    seeds = tuple(map(str, range(side)))
    epochs = tuple(map(str, range(1, side + 1)))
    axes = [Axis("seed", seeds), Axis("d_br", ("none",)), Axis("probe.epochs", epochs)]
    return grid_trials(base, axes)


def distance_to_hill(trials: Sequence[Trial]) -> list[float | None]:
    """Returns the distance of each trial to seed 5 and 3 epochs."""
    distances: list[float | None] = []
    for trial in trials:
        recipe = trial.recipe
        distances.append(float(abs(recipe.seed - 5) + abs(recipe.probe.epochs - 3)))
    return distances


def height_of_hill(trials: Sequence[Trial]) -> list[float | None]:
    """Returns what is largest, 0, at seed 5 and 3 epochs."""
    heights: list[float | None] = (-np.array(distance_to_hill(trials), float)).tolist()
    return heights


def nothing_known(trials: Sequence[Trial]) -> list[float | None]:
    return [None] * len(trials)


def mean_height(trials: Sequence[Trial]) -> float:
    return float(np.mean(np.array(height_of_hill(trials), float)))


def test_a_search_asks_for_no_trial_twice_and_for_all_of_them_where_there_are_no_more(
    base: Recipe,
):
    trials = square_grid(base, 4)
    for num_samples in (7, 16, 99):
        search = Search(num_samples, "separation", "max", batch_size=3)
        chosen = search.choose(trials, 0, height_of_hill)
        assert len(chosen) == min(num_samples, 16)
        assert len(set(chosen)) == len(chosen)


def test_a_search_depends_on_its_seed_batch_and_numbers_alone(base: Recipe):
    trials = square_grid(base)
    search = Search(20, "separation", "max", batch_size=3)
    chosen = search.choose(trials, 0, height_of_hill)
    assert chosen == search.choose(trials, 0, height_of_hill)
    of_another_seed = search.choose(trials, 1, height_of_hill)
    assert chosen != of_another_seed
    assert of_another_seed != replace(search, batch_size=5).choose(trials, 1, height_of_hill)
    assert chosen != search.choose(trials, 0, distance_to_hill)
    assert chosen != replace(search, mode="min").choose(trials, 0, height_of_hill)


def test_a_search_finds_more_than_chance_does(base: Recipe):
    trials = square_grid(base)
    search = Search(24, "separation", "max")
    led = []
    by_chance = []
    for seed in range(5):
        led.append(mean_height(search.choose(trials, seed, height_of_hill)))
        by_chance.append(mean_height(search.choose(trials, seed, nothing_known)))
    assert np.mean(led) > np.mean(by_chance) + 0.5


class KilledExecutor(TrialsApartExecutor):
    """Ends as by Ctrl-C after the first trial of its second batch."""

    def run_trials(self, job: TrialsJob) -> None:
        if len(self.batches) == 1:
            job.run(job.trials[0], self)
            raise KeyboardInterrupt
        super().run_trials(job)


def test_a_search_gives_the_same_table_again_though_its_driver_was_killed(
    base: Recipe, tmp_path: Path
):
    tau = parse_axis("detect.fct.tau=rotate,affine;flip,flip;affine,blur;crop,erase")
    trials = grid_trials(base, [tau, Axis("seed", ("0", "1"))])
    search = Search(6, "flagged_concentration", "max", batch_size=2)
    store = Store(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(base, trials, store, executor=KilledExecutor(), strategy=search)
    resumed = TrialsApartExecutor()
    sweep = run_sweep(base, trials, store, executor=resumed, strategy=search)
    whole = TrialsApartExecutor()
    undisturbed = run_sweep(base, trials, Store(tmp_path / "b"), executor=whole, strategy=search)
    assert sweep.hashes == undisturbed.hashes
    assert list(map(len, whole.batches)) == [2, 2, 2]
    order = sum(whole.batches, [])
    assert column(rows_of(sweep), "trial") == order
    # Two trials of the first batch and one of the second were done.
    assert sum(resumed.batches, []) == order[3:]
    of_all_trials = locate_sweep(base, plan_trials(trials, store), None, store)
    assert of_all_trials.key != sweep.key


def test_a_trial_of_a_search_that_fails_leaves_the_others(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [Axis("probe.sgd.learning_rate", ("0.01", "1e30", "0.02"))])
    search = Search(3, "probe_loss", "min", batch_size=1)
    expected = "1 of 3 trials failed, the first of them trial 1: .*lower"
    with pytest.raises(RunError, match=expected):
        run_sweep(base, trials, Store(tmp_path), executor=LocalExecutor("numpy"), strategy=search)
