"""Sweeps that choose: Optuna led by what needs no truth, trials stopped early, and a sweep resumed after its driver's death."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from ray_defense.cli.main import main
from ray_defense.cli.sweep import describe
from ray_defense.core import progress
from ray_defense.core.errors import Refused
from ray_defense.core.files import json_bytes, read_json
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline import pipeline
from ray_defense.reports import metrics as blind
from ray_defense.store.artifacts import Store
from ray_defense.sweeps import asha as halving
from ray_defense.sweeps import search, sweep
from ray_defense.sweeps.asha import Halving
from ray_defense.sweeps.grid import Axis, grid, parse_axis
from ray_defense.sweeps.search import Search


@pytest.fixture
def base(digits):
    """The tiny recipe without a model but the probe."""
    return replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)


class Watched(LocalExecutor):
    """Remembers the numbers of the trials that it was given, a list for each call, and what it trained outside of them."""

    def __init__(self):
        super().__init__("numpy")
        self.batches, self.before = [], []

    def sweep(self, job):
        self.batches.append([trial.number for trial in job.trials])
        for trial in job.trials:
            job.run(trial, LocalExecutor("numpy"))

    def train(self, jobs):
        self.before += [job.artifact.stage for job in jobs]
        super().train(jobs)


def rows_of(artifact) -> list[dict]:
    return pq.read_table(artifact.path / "table.parquet").to_pylist()


def test_the_blind_numbers_are_those_of_the_formulas_and_of_the_last_epochs(digits, tmp_path):
    recipe, executor = tiny.recipe(digits), LocalExecutor("numpy")
    made = pipeline.make(recipe, pipeline.Context(Store(tmp_path), executor, 0, recipe.normalization))
    found = blind.numbers(recipe.split, made.stages)
    assert set(found) == set(blind.NUMBERS) and None not in found.values()
    split = pq.read_table(made.split.path / "split.parquet").to_pylist()
    labels = ShardSet(made.suspect.path).labels
    poisoned = [labels[row["index"]] for row in split if row["split"] == "poisoned"]
    common = max(range(10), key=poisoned.count)
    assert found["poisoned_concentration"] == pytest.approx(
        poisoned.count(common) / len(poisoned) - float(np.mean(labels == common))
    )
    metrics = {name: read_json(made.stages[name].path / "metrics.json") for name in ("probe", "backdoored", "d_br", "d_st")}
    assert found["probe_train_accuracy"] == metrics["probe"]["train_accuracy"]
    assert found["backdoored_loss"] == metrics["backdoored"]["history"][1]["loss"]
    assert found["d_st_contrastive_loss"] == metrics["d_st"]["history"][1]["contrastive_loss"]  # the last of its phase
    metrics["d_br"]["kept_round"] = 1
    (made.d_br.artifact.path / "metrics.json").write_bytes(json_bytes(metrics["d_br"]))
    assert blind.numbers(recipe.split, made.stages)["d_br_relearn_loss"] == metrics["d_br"]["history"][0]["relearn_loss"]


@pytest.mark.parametrize("metric", ["auroc", "poisoned_precision", "backdoored_asr", "d_st_acc", "weak_attack"])
def test_a_search_led_by_truth_or_test_set_is_refused(metric):
    with pytest.raises(Refused, match=f"^{metric} needs the truth or the test set"):
        Search(4, metric, "max")


def test_a_search_is_refused_that_nothing_could_lead(base, monkeypatch):
    with pytest.raises(Refused, match="did you mean 'trusted_balance'"):
        Search(4, "trusted_balanc", "max")
    trials = grid(base, [Axis("seed", ("0", "1"))])
    with pytest.raises(Refused, match="no trial has a backdoored_loss: none has the stage backdoor;"):
        Search(4, "backdoored_loss", "min").check(trials)
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"pip install 'ray_defense\[hpo\]'"):
        Search(4, "separation", "max").check(trials)


def many(base, count: int = 8):
    """Returns a grid of count^2 trials."""
    values = tuple(map(str, range(count)))
    return grid(
        base, [Axis("seed", values), Axis("d_br", ("none",)), Axis("probe.epochs", tuple(str(1 + v) for v in range(count)))]
    )


def hill(trials) -> list[float]:
    """Returns what is largest, 0, at seed 5 and 3 epochs."""
    return [-float(abs(t.recipe.seed - 5) + abs(t.recipe.probe.epochs - 3)) for t in trials]


def test_a_search_asks_for_no_trial_twice_and_for_all_of_them_where_there_are_no_more(base):
    trials = many(base, 4)
    for samples in (7, 16, 99):
        chosen = Search(samples, "separation", "max", batch=3).choose(trials, 0, hill)
        assert len(chosen) == len(set(chosen)) == min(samples, 16)


def test_a_search_depends_on_its_seed_batch_and_numbers_alone(base):
    trials, one = many(base), Search(20, "separation", "max", batch=3)
    chosen = one.choose(trials, 0, hill)
    assert chosen == one.choose(trials, 0, hill)
    assert chosen != one.choose(trials, 1, hill) != replace(one, batch=5).choose(trials, 1, hill)
    assert chosen != one.choose(trials, 0, lambda some: [-value for value in hill(some)])
    assert chosen != replace(one, mode="min").choose(trials, 0, hill)


def test_a_search_finds_more_than_chance_does(base):
    trials = many(base)
    led = [np.mean(hill(Search(24, "separation", "max").choose(trials, seed, hill))) for seed in range(5)]
    blindly = [
        np.mean(hill(Search(24, "separation", "max").choose(trials, seed, lambda some: [None] * len(some))))
        for seed in range(5)
    ]
    assert np.mean(led) > np.mean(blindly) + 0.5


def test_a_search_gives_the_same_table_again_though_its_driver_was_killed(base, tmp_path):
    class Killed(Watched):
        def sweep(self, job):
            if len(self.batches) == 1:
                job.run(job.trials[0], self)
                raise KeyboardInterrupt
            super().sweep(job)

    trials = grid(base, [parse_axis("score.tau=rotate,affine;flip,flip;affine,blur;crop,erase"), Axis("seed", ("0", "1"))])
    way = Search(6, "poisoned_concentration", "max", batch=2)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(base, trials, Store(tmp_path / "a"), Killed(), way)
    resumed, whole = Watched(), Watched()
    made = sweep.run(base, trials, Store(tmp_path / "a"), resumed, way)
    undisturbed = sweep.run(base, trials, Store(tmp_path / "b"), whole, way)
    assert made.hashes == undisturbed.hashes
    assert [row["trial"] for row in rows_of(made)] == sum(whole.batches, []) and [len(one) for one in whole.batches] == [
        2,
        2,
        2,
    ]
    assert sum(resumed.batches, []) == sum(whole.batches, [])[3:]  # two of the first batch and one of the second were done
    assert (
        sweep.place(base, trials, sweep.plan(trials, Store(tmp_path / "a"), whole), Store(tmp_path / "a"), None).key != made.key
    )


def test_a_trial_of_a_search_that_fails_leaves_the_others(base, tmp_path):
    trials = grid(base, [Axis("probe.sgd.learning_rate", ("0.01", "1e30", "0.02"))])
    way = Search(3, "probe_loss", "min", batch=1)
    with pytest.raises(sweep.Failed, match="1 of 3 trials failed, the first of them trial 1: .*lower"):
        sweep.run(base, trials, Store(tmp_path), LocalExecutor("numpy"), way)


class Judging(Watched):
    """An executor that stops the trial with the given probe's rate after two epochs, as Ray Tune would: by SystemExit."""

    name = "judging"

    def __init__(self, rate: float):
        super().__init__()
        self.rate, self.heard = rate, []

    def sweep(self, job):
        self.batches.append([trial.number for trial in job.trials])
        for trial in job.trials:

            def judge(stage, state, trial=trial):
                if job.judge and stage == job.judge.stage and job.judge.metric in state:
                    self.heard.append((trial.number, state["epoch"]))
                    if trial.recipe.probe.sgd.learning_rate == self.rate and state["epoch"] == 2:
                        raise SystemExit

            progress.judge(judge)
            try:
                job.run(trial, LocalExecutor("numpy"))
            except SystemExit:
                job.judge.stop(trial, 2)
            finally:
                progress.judge(None)


def test_a_stopped_trial_stops_those_that_share_its_probe_and_leaves_the_rest_alone(base, tmp_path):
    base = replace(base, probe=replace(base.probe, epochs=3))
    axes = [Axis("probe.sgd.learning_rate", ("0.01", "0.02")), Axis("split.clean_fraction", ("0.2", "0.4"))]
    trials, way, executor = grid(base, axes), halving.parse("probe.loss"), Judging(0.02)
    rows = rows_of(sweep.run(base, trials, Store(tmp_path / "a"), executor, way))
    assert executor.before == []  # the probe that two trials share is trained where it is judged
    assert executor.batches == [[0, 2], [1]]
    assert executor.heard == [(0, 1), (0, 2), (0, 3), (2, 1), (2, 2)]  # L_intra's epoch has no such loss
    assert [row["stopped"] for row in rows] == [None, None, *["by ASHA after 2 epochs of probe"] * 2]
    assert [row["auroc"] is None for row in rows] == [row["probe_loss"] is None for row in rows] == [False, False, True, True]
    whole = rows_of(sweep.run(base, trials, Store(tmp_path / "b"), Watched()))
    assert rows[:2] == whole[:2] and all(row["stopped"] is None for row in whole)
    (half,) = (tmp_path / "a").glob("probe/*.work")
    alone = pipeline.run(trials[2].recipe, Store(tmp_path / "a"), LocalExecutor("numpy"))  # goes on after the second epoch
    assert not half.exists() and alone.score.auroc == whole[2]["auroc"]


def test_a_stopped_trial_is_not_run_again_by_a_sweep_that_goes_on(base, tmp_path):
    class Killed(Judging):
        def sweep(self, job):
            super().sweep(job)
            raise KeyboardInterrupt

    axes = [Axis("probe.sgd.learning_rate", ("0.02", "0.01")), Axis("split.clean_fraction", ("0.2", "0.4"))]
    trials, way = grid(base, axes), halving.parse("probe.accuracy")
    with pytest.raises(KeyboardInterrupt):
        sweep.run(base, trials, Store(tmp_path), Killed(0.02), way)
    executor = Judging(0.0)
    rows = rows_of(sweep.run(base, trials, Store(tmp_path), executor, way))
    assert executor.batches == [[3]] and [bool(row["stopped"]) for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d_br.relearn_loss", "must not rank by a number that means something only at the end"),
        ("d_st.mce_loss", "must not rank by a number that means something only at the end"),
        ("backdoored.asr", "asr needs the truth or the test set"),
        ("score.auroc", "auroc needs the truth or the test set"),
        ("prob.loss", "did you mean 'probe'"),
        ("backdoored.los", "did you mean 'loss'"),
        ("probe.loss:least", "needs STAGE.METRIC, or"),
        ("loss", "needs STAGE.METRIC, or"),
    ],
)
def test_what_trials_cannot_be_ranked_by_at_an_epoch_is_refused(text, said):
    with pytest.raises(Refused, match=said):
        halving.parse(text)


def test_what_an_epoch_gives_ranks_trials_as_it_is_better_unless_said_otherwise():
    assert halving.parse("backdoored.loss") == Halving("backdoored", "loss", "min")
    assert halving.parse("probe.accuracy") == Halving("probe", "accuracy", "max")
    assert halving.parse("probe.accuracy:min") == Halving("probe", "accuracy", "min")


def test_trials_that_nobody_can_judge_are_refused_before_any_runs(digits, base, tmp_path):
    def refused(recipe, executor: str) -> str:
        with pytest.raises(Refused) as error:
            sweep.check(grid(recipe, [Axis("seed", ("0",))]), halving.parse("backdoored.loss"), executor)
        return str(error.value)

    assert "needs --executor ray" in refused(tiny.recipe(digits), "local")
    assert "trial 0 (seed=0) has no stage backdoored" in refused(base, "ray")
    assert "set its workers.num_workers to 1" in refused(tiny.recipe(digits, num_workers=2), "ray")
    with pytest.raises(Refused, match="needs --executor ray"):
        sweep.run(base, grid(base, [Axis("seed", ("0",))]), Store(tmp_path), LocalExecutor(), halving.parse("probe.loss"))
    assert not list(tmp_path.iterdir())


def command(store: Path, *more: str) -> list[str]:
    """Returns the arguments of a small sweep of three probes."""
    sets = ("probe.epochs=1", "probe.intra_epochs=1", "backdoor=none", "d_br=none", "d_st=none")
    words = ["sweep", "digits_badnets", "--store", str(store), "--executor", "local", "--backend", "numpy", "--quiet"]
    return [*words, *(word for one in sets for word in ("--set", one)), "--grid", "seed=0,1,2", *more]


KILLED = """
import os, signal, sys
from ray_defense.cli.main import main
from ray_defense.core.local import LocalExecutor

def sweep(self, job):
    job.run(job.trials[0], self)
    os.kill(os.getpid(), signal.SIGKILL)

LocalExecutor.sweep = sweep
main(sys.argv[1:])
"""


def test_a_sweep_whose_driver_was_killed_is_resumed_without_redoing_what_is_done(tmp_path, capsys):
    store = tmp_path / "a"
    assert main(command(store, "--resume")) == 2
    assert "nothing to resume: no sweep of these 3 trials was begun" in capsys.readouterr().err
    assert subprocess.run([sys.executable, "-c", KILLED, *command(store)], timeout=400).returncode == -signal.SIGKILL
    (row,) = store.glob("sweep/*.work/scratch/rows/*.json")
    kept, rewritten = row.stat().st_mtime_ns, []
    (probe,) = store.glob("probe/*/model.safetensors")
    trained = probe.stat().st_mtime_ns
    run = sweep.run_trial
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sweep,
            "run_trial",
            lambda s, rows, keys, trial, e: (rewritten.append(row.stat().st_mtime_ns), run(s, rows, keys, trial, e)),
        )
        assert main(command(store, "--resume")) == 0
    assert rewritten == [kept, kept] and probe.stat().st_mtime_ns == trained
    assert main(command(tmp_path / "b")) == 0
    tables = [next((tmp_path / name).glob("sweep/*/table.parquet")).read_bytes() for name in "ab"]
    assert tables[0] == tables[1] and len(list(store.glob("probe/*/model.safetensors"))) == 3
    capsys.readouterr()
    assert main(command(store, "--resume")) == 2
    said = capsys.readouterr().err
    table = said.split("its table is ")[1].split(";")[0]
    assert "nothing to resume: this sweep is finished" in said and Path(table).is_file()


def test_the_command_line_runs_a_search_and_says_what_led_it_and_where_to(tmp_path, capsys):
    more = ("--search", "optuna", "--samples", "2", "--metric", "probe_loss", "--batch", "1")
    assert main(command(tmp_path, *more, "--plan")) == 0
    assert "2 of 3 trials, chosen by Optuna, led by the smallest probe_loss" in capsys.readouterr().out
    assert main(command(tmp_path, *more)) == 0
    out = capsys.readouterr().out
    (table,) = tmp_path.glob("sweep/*/table.parquet")
    rows = pq.read_table(table).to_pylist()
    best = min(rows, key=lambda row: row["probe_loss"])
    assert len(rows) == 2 and f"best probe_loss: {best['probe_loss']:.4g} in trial {best['trial']} (seed={best['seed']})" in out
    assert "probe loss" in (table.parent / "sweep.html").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--search", "optuna", "--metric", "separation"), "--search optuna needs --samples"),
        (("--search", "optuna", "--samples", "2"), "--search optuna needs --metric"),
        (("--search", "optuna", "--samples", "0", "--metric", "separation"), "--samples must be at least 1, not 0"),
        (("--search", "optuna", "--samples", "2", "--metric", "auroc"), "auroc needs the truth or the test set"),
        (("--search", "optuna", "--samples", "2", "--metric", "separation", "--asha", "probe.loss"), "do not go together"),
        (("--metric", "separation"), "--metric leads a search"),
        (("--batch", "2"), "--batch leads a search"),
        (("--asha", "probe.loss"), "--asha needs --executor ray"),
    ],
)
def test_a_way_that_cannot_be_gone_is_refused_before_the_plan(more, said, tmp_path, capsys):
    assert main(command(tmp_path / "store", *more)) == 2
    got = capsys.readouterr()
    assert said in got.err and got.err.count("\n") == 1 and not got.out


def test_the_plan_of_a_judged_sweep_is_a_bound(base, tmp_path):
    trials = grid(base, [Axis("seed", ("0", "1"))])
    overview = sweep.overview(sweep.plan(trials, Store(tmp_path), LocalExecutor()), Store(tmp_path))
    (first, *_) = describe(overview, halving.parse("probe.loss"))
    assert first.startswith("2 trials, stopped early by probe.loss") and first.endswith("at most:")
