"""Sweeps: axes and grids, what trials share, rows that equal single runs, and what becomes of trials that do not end well."""

import os
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import tiny

from ray_defense.core.config import override
from ray_defense.core.errors import Failed, Refused
from ray_defense.data.sources import SOURCES
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.recipes import RECIPES, SWEEPS
from ray_defense.reports.sweep_page import draw
from ray_defense.stages import detect as score
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.sweeps import sweep
from ray_defense.sweeps.grid import Axis, grid, parse_axis, sample
from ray_defense.sweeps.sweep import overview, plan
from ray_defense.transforms import TRANSFORMS


@pytest.fixture
def base(digits):
    """The tiny recipe without a model but the probe."""
    return replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)


class Counting(LocalExecutor):
    """Counts what is trained and scored."""

    def __init__(self):
        super().__init__("numpy")
        self.trained, self.scored = [], 0

    def train(self, jobs):
        self.trained += [job.artifact.stage for job in jobs]
        super().train(jobs)

    def score(self, job):
        self.scored += 1
        super().score(job)


def rows_of(artifact) -> list[dict]:
    return pq.read_table(artifact.path / "table.parquet").to_pylist()


def unfinished_rows(store) -> list[dict]:
    """Returns the rows that a sweep with failed trials left in its working directory."""
    (table,) = store.glob("sweep/*.work/table.parquet")
    return pq.read_table(table).to_pylist()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=0,1,2", ("0", "1", "2")),
        ("score.tau=rotate,affine;flip,flip", ("rotate,affine", "flip,flip")),
        ("d_br.steps=unlearn;relearn", ("unlearn", "relearn")),
        ("a.b=x", ("x",)),
    ],
)
def test_an_axis_is_read_at_commas_or_where_there_are_any_at_semicolons(text, values):
    assert parse_axis(text) == Axis(text.split("=")[0], values)


@pytest.mark.parametrize("text", ["seed", "seed=", "=1,2", "seed=,", "seed=1,1"])
def test_what_is_no_axis_is_refused(text):
    with pytest.raises(Refused):
        parse_axis(text)


def test_all_pairs_are_every_ordered_pair_of_the_six_transforms():
    values = parse_axis("score.tau=all-pairs").values
    assert len(set(values)) == 36
    assert set(values) == {f"{first},{second}" for first in TRANSFORMS for second in TRANSFORMS}


def test_a_grid_has_every_combination_once_with_its_values_in_its_recipe(base):
    trials = grid(base, [Axis("seed", ("0", "1")), Axis("split.clean_fraction+split.poison_fraction", ("0.1", "0.2", "0.3"))])
    assert [trial.number for trial in trials] == list(range(6))
    found = [(t.recipe.seed, t.recipe.split.clean_fraction, t.recipe.split.poison_fraction) for t in trials]
    assert found == [(seed, share, share) for seed in (0, 1) for share in (0.1, 0.2, 0.3)]
    with pytest.raises(Refused, match="did you mean 'clean_fraction'"):
        grid(base, [Axis("split.clean_fractio", ("0.1",))])
    for axes in ([], [Axis("seed", ("0",)), Axis("seed", ("1",))]):
        with pytest.raises(Refused):
            grid(base, axes)


def test_a_sample_is_part_of_the_grid_drawn_by_its_seed(base):
    axes = [Axis("seed", tuple(map(str, range(20))))]
    everything, some = grid(base, axes), sample(base, axes, 5, 1)
    assert len(some) == 5 and set(some) < set(everything)
    assert some == sample(base, axes, 5, 1) != sample(base, axes, 5, 2)
    assert sample(base, axes, 99, 1) == everything


@pytest.mark.parametrize("name", SWEEPS)
def test_a_named_sweep_fits_the_recipes(name):
    for recipe in (RECIPES["digits_badnets"](), RECIPES["cifar10_badnets"]()):
        for path, value in SWEEPS[name].changes:
            recipe = override(recipe, path, value)
        trials = grid(recipe, [parse_axis(text) for text in SWEEPS[name].axes])
        assert len({trial.recipe for trial in trials}) == len(trials) > 1


def test_the_plan_counts_what_trials_share_once_and_makes_nothing(base, tmp_path):
    store = Store(tmp_path / "store")
    trials = grid(base, [Axis("seed", ("0", "1")), parse_axis("score.tau=all-pairs")])
    found = overview(plan(trials, store, LocalExecutor()), store)
    assert (found.num_trials, found.clean_passes, found.transformed_passes) == (72, 2, 72)
    assert found.to_make == {"suspect": 2, "probe": 2, "score": 72, "split": 72, "evaluation": 72} and not found.found
    assert found.epochs == {"probe": 2 * 3}
    assert not list(store.root.iterdir())


def test_several_ways_of_scoring_in_one_pass_give_the_bytes_of_one_run_each(base, tmp_path):
    trials = grid(base, [parse_axis("score.tau=rotate,affine;flip,erase"), Axis("score.score.draws", ("1", "2"))])
    hashes = []
    for together in (True, False):
        context = Context(Store(tmp_path / str(together)), LocalExecutor("numpy"), 0, base.normalization)
        suspect = pipeline.make_suspect(base, context)
        probe = pipeline.plan(base, context).probe
        pipeline.train_missing(context, [probe])
        ways = [trial.recipe.score for trial in trials]
        given = (suspect, probe.artifact, base.probe.model, context)
        made = score.run_ways(ways, *given) if together else [score.run(way, *given) for way in ways]
        hashes.append([artifact.hashes for artifact in made])
    assert hashes[0] == hashes[1] and len({str(one) for one in hashes[0]}) == 4


def test_each_row_is_what_a_single_run_gives_and_shared_stages_are_made_once(base, tmp_path):
    executor = Counting()
    trials = grid(base, [parse_axis("score.tau=rotate,affine;affine,blur"), Axis("split.clean_fraction", ("0.2", "0.4"))])
    made = sweep.run(base, trials, Store(tmp_path / "sweep"), executor)
    assert executor.trained == ["probe"] and executor.scored == 1
    for row, trial in zip(rows_of(made), trials, strict=True):
        alone = pipeline.run(trial.recipe, Store(tmp_path / "alone"), LocalExecutor("numpy"))
        assert row["auroc"] == alone.score.auroc and row["trusted_precision"] == alone.score.trusted_precision
        assert (row["score.tau"], row["split.clean_fraction"]) == tuple(value for _, value in trial.changes)
    again = Counting()
    assert sweep.run(base, trials, Store(tmp_path / "sweep"), again) == made and not again.trained and not again.scored


def test_twice_the_same_flip_is_a_row_without_numbers_that_says_why(base, tmp_path):
    trials = grid(base, [parse_axis("score.tau=flip,flip;rotate,affine")])
    still, moving = rows_of(sweep.run(base, trials, Store(tmp_path), LocalExecutor("numpy")))
    assert still["auroc"] is None and "all 256 scores equal 0" in still["refused"]
    assert moving["auroc"] is not None and moving["refused"] is None


def test_a_trial_that_fails_leaves_the_others_and_alone_is_run_again(base, tmp_path):
    trials = grid(base, [Axis("probe.sgd.learning_rate", ("0.01", "1e30", "0.02"))])
    store = Store(tmp_path)
    with pytest.raises(Failed, match="1 of 3 trials failed, the first of them trial 1: .*lower"):
        sweep.run(base, trials, store, LocalExecutor("numpy"))
    assert not list(tmp_path.glob("sweep/*/config.json"))
    assert [row["trial"] for row in unfinished_rows(tmp_path)] == [0, 2]
    again = Counting()
    with pytest.raises(Failed, match="trial 1"):
        sweep.run(base, trials, store, again)
    assert again.trained == ["probe"]


@pytest.mark.parametrize("rates", ["0.01,1e30", "1e30,0.01"])
def test_a_shared_probe_that_fails_leaves_the_trials_of_the_others(base, rates, tmp_path):
    trials = grid(
        base, [Axis("probe.sgd.learning_rate", tuple(rates.split(","))), parse_axis("score.tau=rotate,affine;affine,blur")]
    )
    with pytest.raises(
        Failed, match="2 of 4 trials failed, the first of them trial [02]: epoch 1 of 3 gave .* lower the learning rate"
    ):
        sweep.run(base, trials, Store(tmp_path), LocalExecutor("numpy"))
    rows = unfinished_rows(tmp_path)
    assert len(rows) == 2 and {row["probe.sgd.learning_rate"] for row in rows} == {"0.01"}
    assert all(row["auroc"] is not None for row in rows)


def test_a_shared_dataset_that_is_refused_leaves_the_trials_of_the_others(base, tmp_path):
    trials = grid(base, [Axis("poison.rate", ("0.001", "0.1")), Axis("split.clean_fraction", ("0.2", "0.4"))])
    executor = Counting()
    rows = rows_of(sweep.run(base, trials, Store(tmp_path), executor))
    assert ["poisons none" in (row["refused"] or "") for row in rows] == [True, True, False, False]
    assert executor.trained == ["probe"] and executor.scored == 1


@pytest.fixture
def folder(tmp_path):
    """A folder of digits that a test may change."""
    (tmp_path / "data").mkdir()
    tiny.write_digits(tmp_path / "data", 512, 64)
    return tmp_path / "data"


def keep(folder, rows: slice) -> None:
    """Leaves only `rows` of the training set."""
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table[rows], folder / "train.parquet")


def test_a_sweep_of_other_files_is_another_table(base, folder, tmp_path):
    base = replace(base, source=SOURCES["parquet"](path=str(folder), num_classes=10))
    trials = grid(base, [Axis("split.clean_fraction", ("0.2", "0.4"))])
    before = sweep.run(base, trials, Store(tmp_path / "a"), LocalExecutor("numpy"))
    keep(folder, slice(256, 512))
    after = sweep.run(base, trials, Store(tmp_path / "a"), LocalExecutor("numpy"))
    fresh = sweep.run(base, trials, Store(tmp_path / "b"), LocalExecutor("numpy"))
    assert after.key == fresh.key != before.key
    assert rows_of(after) == rows_of(fresh) != rows_of(before)


def test_trials_that_met_other_files_than_the_sweep_are_in_no_table(base, folder, tmp_path):
    class Meddling(LocalExecutor):
        def sweep(self, job):
            os.utime(folder / "test.parquet", ns=(1, 1))
            super().sweep(job)

    base = replace(base, source=SOURCES["parquet"](path=str(folder), num_classes=10))
    trials = grid(base, [Axis("split.clean_fraction", ("0.2", "0.4"))])
    with pytest.raises(Failed, match="2 of 2 trials failed, .*: the files of the source changed while"):
        sweep.run(base, trials, Store(tmp_path / "store"), Meddling("numpy"))
    assert not list(tmp_path.glob("store/sweep/*/table.parquet"))


def test_a_killed_sweep_goes_on_with_the_trials_that_are_missing(base, tmp_path):
    class Killed(LocalExecutor):
        def sweep(self, job):
            job.run(job.trials[0], self)
            raise KeyboardInterrupt

    trials = grid(base, [Axis("split.clean_fraction", ("0.1", "0.2", "0.3"))])
    with pytest.raises(KeyboardInterrupt):
        sweep.run(base, trials, Store(tmp_path / "a"), Killed("numpy"))
    ran = []

    class Watched(Counting):
        def sweep(self, job):
            ran.extend(trial.number for trial in job.trials)
            super().sweep(job)

    resumed = sweep.run(base, trials, Store(tmp_path / "a"), Watched())
    whole = sweep.run(base, trials, Store(tmp_path / "b"), LocalExecutor("numpy"))
    assert ran == [1, 2] and resumed.hashes == whole.hashes


def test_a_trial_that_could_not_run_is_refused_before_any_does(base, tmp_path):
    trials = grid(base, [Axis("probe.workers.num_workers", ("1", "3"))])
    executor = Counting()
    with pytest.raises(Refused, match="trial 1 .probe.workers.num_workers=3.: probe.batch_size 32 is not a multiple"):
        sweep.run(base, trials, Store(tmp_path), executor)
    assert not executor.trained


def test_the_page_shows_names_as_text_and_is_the_same_for_the_same_rows(base, tmp_path):
    named = replace(base, name="<script>alert(1)</script>")
    trials = grid(named, [Axis("split.clean_fraction", ("0.1", "0.2"))])
    made = sweep.run(named, trials, Store(tmp_path / "a"), LocalExecutor("numpy"))
    page = (made.path / "sweep.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "http" not in page.split("</style>")[1]
    again = sweep.run(named, trials, Store(tmp_path / "b"), LocalExecutor("numpy"))
    assert (again.path / "sweep.html").read_text() == page


def row(value: float | None, **axes: str) -> dict:
    return {"trial": 0, "auroc": value, **axes}


def test_pairs_and_two_numbers_make_a_heat_map_of_means_and_one_number_a_curve():
    pairs = [row(0.25, **{"score.tau": "flip,crop", "seed": "0"}), row(0.5, **{"score.tau": "flip,crop", "seed": "1"})]
    assert "0.375" in draw(pairs, ["score.tau", "seed"], "auroc")
    numbers = [row(value, **{"a.x": str(x), "a.y": str(y)}) for value, x, y in ((0.125, 1, 2), (0.75, 2, 3))]
    two = draw(numbers, ["a.x", "a.y"], "auroc")
    assert "0.125" in two and "0.750" in two
    assert draw(numbers, ["a.x"], "auroc") is not None and "0.125" not in draw(numbers, ["a.x"], "auroc")
    words = [row(0.5, **{"a.x": "left"}), row(0.25, **{"a.x": "right"})]
    assert draw(words, ["a.x"], "auroc") is None


def test_a_cell_without_a_value_stays_empty():
    values = [row(None, **{"score.tau": "flip,flip"}), row(0.5, **{"score.tau": "flip,crop"})]
    drawn = draw(values, ["score.tau"], "auroc")
    assert "0.500" in drawn and "nan" not in drawn.lower()
