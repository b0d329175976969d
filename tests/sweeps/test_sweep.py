"""Sweeps: what trials share, rows that equal single runs, and trials that do not end well."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources.parquet import Parquet
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor, TrialsJob
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import result_of, run_plan
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.sweeps.grid import Axis, Trial, grid_trials, parse_axis
from ray_defense.sweeps.sweep import plan_trials, run_sweep, summarize_plans
from tests.support import tiny
from tests.support.sweeps import RecordingExecutor, column, rows_of, unfinished_rows

TRUSTED = Axis("decide.trusted_fraction", ("0.2", "0.4"))


def run_trials(
    base: Recipe, trials: list[Trial], store: Path, executor: Executor | None = None
) -> Artifact:
    return run_sweep(base, trials, Store(store), executor=executor or LocalExecutor("numpy"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of digits that a test may change."""
    folder = tmp_path / "data"
    folder.mkdir()
    tiny.write_digits(folder, 512, 64)
    return folder


@pytest.fixture
def base_of_folder(base: Recipe, folder: Path) -> Recipe:
    return replace(base, source=Parquet(path=str(folder), num_classes=10))


def keep_rows(folder: Path, rows: slice) -> None:
    """Leaves only some rows of the training set."""
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table[rows], folder / "train.parquet")


def test_the_plan_counts_what_trials_share_once_and_makes_nothing(base: Recipe, tmp_path: Path):
    store = Store(tmp_path / "store")
    axes = [Axis("seed", ("0", "1")), parse_axis("detect.fct.tau=all-pairs")]
    plans = plan_trials(grid_trials(base, axes), store)
    overview = summarize_plans(list(plans.values()), store)
    assert overview.num_trials == 72
    assert overview.num_clean_passes == 2
    assert overview.num_transformed_passes == 72
    # The attacker's seed is its own, so that both seeds of the run share one dataset.
    assert overview.num_to_make == {
        "ingest": 1,
        "probe": 2,
        "evidence": 72,
        "split": 72,
        "evaluation": 72,
    }
    assert not overview.num_found
    assert overview.num_epochs == {"probe": 2 * 3}
    assert not list(store.root.iterdir())


def test_several_scores_in_one_pass_give_the_bytes_of_one_pass_each(base: Recipe, tmp_path: Path):
    tau = parse_axis("detect.fct.tau=rotate,affine;flip,erase")
    trials = grid_trials(base, [tau, Axis("detect.fct.draws", ("1", "2"))])
    hashes = {}
    for together in (True, False):
        store = Store(tmp_path / str(together))
        executor = RecordingExecutor()
        evidence = [plan_recipe(trial.recipe, store).evidence for trial in trials]
        if together:
            make_steps(evidence, store, executor)
        else:
            for step in evidence:
                make_steps([step], store, executor)
        assert executor.num_passes == (1 if together else 4)
        hashes[together] = [step.artifact.hashes for step in evidence]
    assert hashes[True] == hashes[False]
    assert len(set(map(str, hashes[True]))) == 4


def test_each_row_is_what_a_single_run_gives_and_shared_stages_are_made_once(
    base: Recipe, tmp_path: Path
):
    executor = RecordingExecutor()
    trials = grid_trials(base, [parse_axis("detect.fct.tau=rotate,affine;affine,blur"), TRUSTED])
    sweep = run_trials(base, trials, tmp_path / "sweep", executor)
    assert executor.trained == ["probe"]
    assert executor.num_passes == 1
    for row, trial in zip(rows_of(sweep), trials, strict=True):
        plan = plan_recipe(trial.recipe, Store(tmp_path / "alone"))
        alone = result_of(run_plan(plan, LocalExecutor("numpy")))
        assert row["auroc"] == alone.score.auroc
        assert row["trusted_precision"] == alone.score.trusted_precision
        for path, value in trial.changes:
            assert row[path] == value
    again = RecordingExecutor()
    assert run_trials(base, trials, tmp_path / "sweep", again) == sweep
    assert not again.trained
    assert not again.num_passes


def test_twice_the_same_flip_is_a_row_without_numbers_that_says_why(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [parse_axis("detect.fct.tau=flip,flip;rotate,affine")])
    still, moving = rows_of(run_trials(base, trials, tmp_path))
    assert still["auroc"] is None
    assert "all 256 scores equal 0" in still["refused"]
    assert moving["auroc"] is not None
    assert moving["refused"] is None


def test_a_trial_that_fails_leaves_the_others_and_alone_is_run_again(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [Axis("probe.sgd.learning_rate", ("0.01", "1e30", "0.02"))])
    expected = "1 of 3 trials failed, the first of them trial 1: .*lower"
    with pytest.raises(RunError, match=expected):
        run_trials(base, trials, tmp_path)
    assert not list(tmp_path.glob("sweep/*/config.json"))
    assert column(unfinished_rows(tmp_path), "trial") == [0, 2]
    again = RecordingExecutor()
    with pytest.raises(RunError, match="trial 1"):
        run_trials(base, trials, tmp_path, again)
    assert again.trained == ["probe"]


@pytest.mark.parametrize("rates", [("0.01", "1e30"), ("1e30", "0.01")])
def test_a_shared_probe_that_fails_leaves_the_trials_of_the_others(
    base: Recipe, rates: tuple[str, ...], tmp_path: Path
):
    tau = parse_axis("detect.fct.tau=rotate,affine;affine,blur")
    trials = grid_trials(base, [Axis("probe.sgd.learning_rate", rates), tau])
    expected = (
        "2 of 4 trials failed, the first of them trial [02]: "
        "epoch 1 of 3 gave .* lower the learning rate"
    )
    with pytest.raises(RunError, match=expected):
        run_trials(base, trials, tmp_path)
    rows = unfinished_rows(tmp_path)
    assert len(rows) == 2
    for row in rows:
        assert row["probe.sgd.learning_rate"] == "0.01"
        assert row["auroc"] is not None


def test_a_shared_dataset_that_is_refused_leaves_the_trials_of_the_others(
    base: Recipe, tmp_path: Path
):
    trials = grid_trials(base, [Axis("poison.rate", ("0.001", "0.1")), TRUSTED])
    executor = RecordingExecutor()
    rows = rows_of(run_trials(base, trials, tmp_path, executor))
    for reason in column(rows[:2], "refused"):
        assert "poisons none" in reason
    assert column(rows[2:], "refused") == [None, None]
    assert executor.trained == ["probe"]
    assert executor.num_passes == 1


def test_a_sweep_of_other_files_is_another_table(
    base_of_folder: Recipe, folder: Path, tmp_path: Path
):
    trials = grid_trials(base_of_folder, [TRUSTED])
    before = run_trials(base_of_folder, trials, tmp_path / "a")
    keep_rows(folder, slice(256, 512))
    after = run_trials(base_of_folder, trials, tmp_path / "a")
    fresh = run_trials(base_of_folder, trials, tmp_path / "b")
    assert after.key == fresh.key
    assert after.key != before.key
    assert rows_of(after) == rows_of(fresh)
    assert rows_of(after) != rows_of(before)


class MeddlingExecutor(LocalExecutor):
    """Changes files before it runs trials, as somebody else may during a sweep."""

    def __init__(self, meddle: Callable[[], None]):
        super().__init__("numpy")
        self.meddle = meddle

    def run_trials(self, job: TrialsJob) -> None:
        self.meddle()
        super().run_trials(job)


def test_trials_that_met_other_files_than_the_sweep_are_in_no_table(
    base_of_folder: Recipe, folder: Path, tmp_path: Path
):
    trials = grid_trials(base_of_folder, [TRUSTED])
    executor = MeddlingExecutor(lambda: os.utime(folder / "test.parquet", ns=(1, 1)))
    expected = "2 of 2 trials failed, .*: the files of the source changed while"
    with pytest.raises(RunError, match=expected):
        run_trials(base_of_folder, trials, tmp_path / "store", executor)
    assert not list(tmp_path.glob("store/sweep/*/table.parquet"))


class KilledExecutor(LocalExecutor):
    """Ends as by Ctrl-C after its first trial."""

    def run_trials(self, job: TrialsJob) -> None:
        job.run(job.trials[0], self)
        raise KeyboardInterrupt


def test_a_killed_sweep_goes_on_with_the_trials_that_are_missing(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [Axis("decide.trusted_fraction", ("0.1", "0.2", "0.3"))])
    with pytest.raises(KeyboardInterrupt):
        run_trials(base, trials, tmp_path / "a", KilledExecutor("numpy"))
    executor = RecordingExecutor()
    resumed = run_trials(base, trials, tmp_path / "a", executor)
    whole = run_trials(base, trials, tmp_path / "b")
    assert executor.batches == [[1, 2]]
    assert resumed.hashes == whole.hashes


def test_a_trial_that_could_not_run_is_refused_before_any_does(base: Recipe, tmp_path: Path):
    trials = grid_trials(base, [Axis("probe.workers.num_workers", ("1", "3"))])
    executor = RecordingExecutor()
    expected = "trial 1 .probe.workers.num_workers=3.: probe.batch_size 32 is not a multiple"
    with pytest.raises(InputError, match=expected):
        run_trials(base, trials, tmp_path, executor)
    assert not executor.trained
