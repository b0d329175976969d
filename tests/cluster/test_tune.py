"""Sweeps on Ray Tune: the tables of a local sweep, and trials that ASHA stops early."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ray_defense.cluster.session import prepare_environment, start_executor
from ray_defense.core.errors import TrialStopped
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.protocols import EarlyStopping, Executor, TrialsJob
from ray_defense.pipeline.recipe import Recipe
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.sweeps.asha import parse_asha
from ray_defense.sweeps.grid import Axis, Trial, grid_trials, parse_axis
from ray_defense.sweeps.search import Search
from ray_defense.sweeps.sweep import run_sweep
from tests.support import tiny
from tests.support.sweeps import Row, rows_of

pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
RunTrial = Callable[[Trial, Executor], None]

# A finished run once more, in a process of its own.
RUN_AGAIN = """
import sys
from pathlib import Path
import ray_defense
from tests.support import tiny
recipe = tiny.recipe(Path(sys.argv[1]))
result = ray_defense.run(recipe, store=sys.argv[2], executor="ray")
assert "ray" not in sys.modules, "ray was imported"
import ray
print(result.score.auroc, ray.is_initialized())
"""


class TrialsExecutor(ExecutorOnDemand):
    """A Ray executor whose trials run inside a function."""

    def __init__(self, run_trial: Callable[[RunTrial, Trial, Executor], None]):
        super().__init__("ray", partial(start_executor, "numpy"))
        self._run_trial = run_trial

    def run_trials(self, job: TrialsJob) -> None:
        super().run_trials(replace(job, run=partial(self._run_trial, job.run)))


def killed_once(marker: Path, run: RunTrial, trial: Trial, executor: Executor) -> None:
    """Runs a trial; the process that comes to trial 1 first is killed."""
    if trial.number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    run(trial, executor)


def noting_the_end(folder: Path, run: RunTrial, trial: Trial, executor: Executor) -> None:
    """Runs a trial, and notes in a file of its number what it raised."""
    note = folder / str(trial.number)
    note.write_text("nothing")
    try:
        run(trial, executor)
    except BaseException as error:
        note.write_text(type(error).__name__)
        raise


def scores_only(digits: Path) -> Recipe:
    return replace(tiny.recipe(digits), backdoored=None, defenses=())


@pytest.mark.chaos
@pytest.mark.long
def test_a_sweep_on_ray_gives_the_table_of_a_local_one_though_a_trial_is_killed(
    local_ray: Any, digits: Path, tmp_path: Path
) -> None:
    base = scores_only(digits)
    axes = [parse_axis("detect.fct.tau=rotate,affine;flip,erase"), Axis("seed", ("0", "1"))]
    trials = grid_trials(base, axes)
    marker = tmp_path / "killed"
    killing = TrialsExecutor(partial(killed_once, marker))
    on_ray = run_sweep(base, trials, Store(tmp_path / "ray"), executor=killing)
    local = run_sweep(base, trials, Store(tmp_path / "local"), executor=LocalExecutor("numpy"))
    assert marker.exists()
    assert on_ray.hashes == local.hashes
    assert not (on_ray.path / "scratch").exists()


@pytest.mark.long
def test_a_trial_whose_training_wants_two_workers_gets_them(
    local_ray: Any, digits: Path, tmp_path: Path
) -> None:
    base = scores_only(digits)
    trials = grid_trials(base, [Axis("probe.workers.num_workers", ("2",))])
    sweep = run_sweep(base, trials, Store(tmp_path), executor=start_executor("numpy"))
    (row,) = rows_of(sweep)
    assert row["auroc"] is not None
    assert row["refused"] is None


@dataclass(frozen=True)
class StoppedSweep:
    """A sweep on Ray whose worst trials were stopped early."""

    base: Recipe
    trials: list[Trial]
    store: Store
    rows: list[Row]
    ends: dict[int, str]  # what each trial that was begun raised last, by its number

    @property
    def stopped(self) -> list[int]:
        """The numbers of the trials that were stopped."""
        return [row["trial"] for row in self.rows if row["stopped"]]


@pytest.fixture(scope="module")
def stopped_sweep(
    local_ray: Any, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> StoppedSweep:
    folder = tmp_path_factory.mktemp("asha")
    base = scores_only(digits)
    base = replace(base, probe=replace(base.probe, epochs=8))
    axes = [
        Axis("probe.sgd.learning_rate", ("0.05", "1e-06", "1e-07", "1e-08")),
        Axis("decide.trusted_fraction", ("0.2", "0.4")),
    ]
    trials = grid_trials(base, axes)
    store = Store(folder / "store")
    notes = folder / "notes"
    notes.mkdir()
    executor = TrialsExecutor(partial(noting_the_end, notes))
    sweep = run_sweep(base, trials, store, executor=executor, strategy=parse_asha("probe.loss"))
    ends = {int(note.name): note.read_text() for note in notes.iterdir()}
    return StoppedSweep(base=base, trials=trials, store=store, rows=rows_of(sweep), ends=ends)


def test_ray_stops_trials_that_do_worse_and_keeps_the_best(stopped_sweep: StoppedSweep) -> None:
    stopped = stopped_sweep.stopped
    assert stopped
    # The best is never stopped, nor the trial that shares its probe.
    assert not {0, 1} & set(stopped)
    for row in stopped_sweep.rows:
        if row["stopped"]:
            assert row["auroc"] is None
            assert "epoch" in row["stopped"]
    checkpoints = list(stopped_sweep.store.root.glob("probe/*.work/scratch/checkpoint.sealed"))
    assert len(checkpoints) == len(stopped) / 2


def test_a_trial_is_stopped_by_an_error_that_says_so(stopped_sweep: StoppedSweep) -> None:
    begun_and_stopped = set(stopped_sweep.stopped) & set(stopped_sweep.ends)
    assert len(begun_and_stopped) == len(stopped_sweep.stopped) / 2
    for number, end in stopped_sweep.ends.items():
        assert end == ("TrialStopped" if number in begun_and_stopped else "nothing")


@pytest.mark.long
def test_kept_trials_are_those_of_a_local_sweep_and_a_later_run_goes_on_with_the_others(
    stopped_sweep: StoppedSweep, tmp_path: Path
) -> None:
    base = stopped_sweep.base
    trials = stopped_sweep.trials
    stopped = stopped_sweep.stopped
    local = run_sweep(base, trials, Store(tmp_path), executor=LocalExecutor("numpy"))
    kept = [row for row in stopped_sweep.rows if row["trial"] not in stopped]
    assert kept == [row for row in rows_of(local) if row["trial"] not in stopped]
    # Without ASHA, in the same store.
    resumed = run_sweep(base, trials, stopped_sweep.store, executor=LocalExecutor("numpy"))
    assert resumed.hashes == local.hashes


def raise_trial_stopped(trial: object, executor: Executor) -> None:
    raise TrialStopped("after 2 epochs")


@pytest.fixture
def tune_module() -> Any:
    """The module `cluster.tune`; no Ray is started for it."""
    prepare_environment()
    from ray_defense.cluster import tune

    return tune


def test_the_process_of_a_stopped_trial_can_be_used_again(
    tune_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune asks for the end by SystemExit; after a return it would wait for one more report."""
    reports: list[dict[str, float]] = []
    monkeypatch.setattr(tune_module.tune, "report", reports.append)
    job = TrialsJob(run=raise_trial_stopped, trials=["trial"], workers=[], folder=tmp_path)
    executors = tune_module.TrialExecutors(alone=lambda listener: None, several=LocalExecutor)
    with pytest.raises(SystemExit) as ended:
        tune_module.run_one_trial({"number": 0}, job, executors, parallel=False)
    assert ended.value.code == 0
    assert reports == []


def test_an_epoch_after_which_tune_stops_the_trial_raises_trial_stopped(
    tune_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[dict[str, float]] = []

    def report_and_exit(metrics: dict[str, float]) -> None:
        reports.append(metrics)
        raise SystemExit(0)

    monkeypatch.setattr(tune_module.tune, "report", report_and_exit)
    stopping = EarlyStopping(
        stage="probe", metric="loss", mode="min", num_epochs=2, record_stop=lambda *stop: None
    )
    tune_module.report_epoch_to_tune(stopping, "backdoored", 1, {"loss": 1.0})
    tune_module.report_epoch_to_tune(stopping, "probe", 1, {"intra_loss": 1.0})
    assert reports == []
    with pytest.raises(TrialStopped, match="after 1 epochs of probe"):
        tune_module.report_epoch_to_tune(stopping, "probe", 1, {"loss": 1.0})
    assert reports == [{"loss": 1.0, "epoch": 1}]


@pytest.mark.long
def test_a_search_on_ray_asks_for_what_a_local_one_does(
    local_ray: Any, digits: Path, tmp_path: Path
) -> None:
    base = scores_only(digits)
    axes = [
        parse_axis("detect.fct.tau=rotate,affine;flip,erase;affine,blur"),
        Axis("seed", ("0", "1")),
    ]
    trials = grid_trials(base, axes)
    search = Search(4, "flagged_concentration", "max", batch_size=2)
    sweeps: list[Artifact] = []
    for executor in (start_executor("numpy"), LocalExecutor("numpy")):
        store = Store(tmp_path / executor.name)
        sweeps.append(run_sweep(base, trials, store, executor=executor, strategy=search))
    on_ray, local = sweeps
    assert on_ray.hashes == local.hashes


def test_a_run_that_the_store_holds_whole_never_starts_ray(ray_run: Result, digits: Path) -> None:
    store = Path(ray_run.artifacts["probe"]).parents[1]
    finished = subprocess.run(
        [sys.executable, "-c", RUN_AGAIN, str(digits), str(store)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [str(ray_run.score.auroc), "False"]
