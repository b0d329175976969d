"""Trials are compared while they run by metrics that mean something there, and stopped early."""

from dataclasses import replace
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import TrialsJob
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import result_of, run_plan
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.asha import Asha, parse_asha
from ray_defense.sweeps.grid import Axis, grid_trials
from ray_defense.sweeps.sweep import check_strategy, run_sweep
from tests.support import tiny
from tests.support.sweeps import StoppingExecutor, TrialsApartExecutor, column, rows_of

TRUSTED = Axis("decide.trusted_fraction", ("0.2", "0.4"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d_br.relearn_loss", "must not rank by a number that means something only at the end"),
        ("d_st.mce_loss", "must not rank by a number that means something only at the end"),
        ("backdoored.asr", "asr needs the truth or the test set"),
        ("evidence.auroc", "auroc needs the truth or the test set"),
        ("prob.loss", "did you mean 'probe'"),
        ("backdoored.los", "did you mean 'loss'"),
        ("probe.loss:least", "needs STAGE.METRIC, or"),
        ("loss", "needs STAGE.METRIC, or"),
    ],
)
def test_what_trials_cannot_be_ranked_by_at_an_epoch_is_refused(text: str, message: str):
    with pytest.raises(InputError, match=message):
        parse_asha(text)


def test_what_an_epoch_gives_ranks_trials_as_it_is_better_unless_the_mode_is_named():
    assert parse_asha("backdoored.loss") == Asha("backdoored", "loss", "min")
    assert parse_asha("probe.accuracy") == Asha("probe", "accuracy", "max")
    assert parse_asha("probe.accuracy:min") == Asha("probe", "accuracy", "min")


def message_for(recipe: Recipe, executor: str) -> str:
    """Returns why an executor cannot compare the trials of a recipe by the backdoored model."""
    trials = grid_trials(recipe, [Axis("seed", ("0",))])
    with pytest.raises(InputError) as error:
        check_strategy(parse_asha("backdoored.loss"), trials, executor)
    return str(error.value)


def test_trials_that_cannot_be_compared_are_refused_before_any_runs(
    digits: Path, base: Recipe, tmp_path: Path
):
    assert "needs --executor ray" in message_for(tiny.recipe(digits), "local")
    assert "trial 0 (seed=0) has no stage backdoored" in message_for(base, "ray")
    of_two_workers = tiny.recipe(digits, num_workers=2)
    assert "set its workers.num_workers to 1" in message_for(of_two_workers, "ray")
    trials = grid_trials(base, [Axis("seed", ("0",))])
    asha = parse_asha("probe.loss")
    with pytest.raises(InputError, match="needs --executor ray"):
        run_sweep(base, trials, Store(tmp_path), executor=LocalExecutor(), strategy=asha)
    assert not list(tmp_path.iterdir())


def test_a_stopped_trial_stops_those_that_share_its_probe_and_leaves_the_rest_alone(
    base: Recipe, tmp_path: Path
):
    base = replace(base, probe=replace(base.probe, epochs=3))
    trials = grid_trials(base, [Axis("probe.sgd.learning_rate", ("0.01", "0.02")), TRUSTED])
    asha = parse_asha("probe.loss")
    executor = StoppingExecutor(0.02)
    store = Store(tmp_path / "a")
    rows = rows_of(run_sweep(base, trials, store, executor=executor, strategy=asha))
    # The probe that two trials share is trained where it is compared.
    assert executor.trained == []
    assert executor.batches == [[0, 2], [1]]
    # The epoch of L_intra, the fourth, has no such loss.
    assert executor.heard == [(0, 1), (0, 2), (0, 3), (2, 1), (2, 2)]
    stopped = "by ASHA after 2 epochs of probe"
    assert column(rows, "stopped") == [None, None, stopped, stopped]
    for name in ("auroc", "probe_loss"):
        assert None not in column(rows[:2], name)
        assert column(rows[2:], name) == [None, None]
    whole_store = Store(tmp_path / "b")
    whole = rows_of(run_sweep(base, trials, whole_store, executor=TrialsApartExecutor()))
    assert rows[:2] == whole[:2]
    assert column(whole, "stopped") == [None] * 4
    (half_trained,) = (tmp_path / "a").glob("probe/*.work")
    # The stopped trial alone goes on after its second epoch.
    alone = run_plan(plan_recipe(trials[2].recipe, store), LocalExecutor("numpy"))
    assert not half_trained.exists()
    assert result_of(alone).score.auroc == whole[2]["auroc"]


class KilledExecutor(StoppingExecutor):
    """Ends as by Ctrl-C once it has run the first trials."""

    def run_each(self, job: TrialsJob) -> None:
        super().run_each(job)
        raise KeyboardInterrupt


def test_a_stopped_trial_is_not_run_again_by_a_sweep_that_goes_on(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [Axis("probe.sgd.learning_rate", ("0.02", "0.01")), TRUSTED])
    asha = parse_asha("probe.accuracy")
    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(base, trials, store, executor=KilledExecutor(0.02), strategy=asha)
    executor = StoppingExecutor(0.0)
    rows = rows_of(run_sweep(base, trials, store, executor=executor, strategy=asha))
    assert executor.batches == [[3]]
    assert all(column(rows[:2], "stopped"))
    assert column(rows[2:], "stopped") == [None, None]
