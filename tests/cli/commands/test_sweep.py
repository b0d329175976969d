"""`sweep`: its plan, a search, what is refused before the plan, and resuming after a kill."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ray_defense.cli.main import main
from ray_defense.sweeps import sweep as sweep_module
from tests.support.sweeps import read_rows

KILLED = """
import os, signal, sys
from ray_defense.cli.main import main
from ray_defense.execution.local import LocalExecutor

def run_trials(self, job):
    job.run(job.trials[0], self)
    os.kill(os.getpid(), signal.SIGKILL)

LocalExecutor.run_trials = run_trials
main(sys.argv[1:])
"""


def sweep_words(store: Path, *more: str) -> list[str]:
    """Returns the words of a small sweep of three probes."""
    words = ["sweep", "digits_badnets", "--store", str(store)]
    words += ["--executor", "local", "--backend", "numpy", "--quiet"]
    changes = ("probe.epochs=1", "probe.intra_epochs=1", "backdoored=none", "defenses=none")
    for change in changes:
        words += ["--set", change]
    return [*words, "--grid", "seed=0,1,2", *more]


def test_a_sweep_whose_driver_was_killed_is_resumed_without_redoing_what_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    store = tmp_path / "a"
    assert main(sweep_words(store, "--resume")) == 2
    refusal = capsys.readouterr().err
    assert "nothing to resume: no sweep of these 3 trials was begun" in refusal
    command = [sys.executable, "-c", KILLED, *sweep_words(store)]
    assert subprocess.run(command, timeout=400).returncode == -signal.SIGKILL
    (row,) = store.glob("sweep/*.work/scratch/rows/*.json")
    row_written_ns = row.stat().st_mtime_ns
    (probe,) = store.glob("probe/*/model.safetensors")
    trained_ns = probe.stat().st_mtime_ns

    row_times: list[int] = []  # of the first row, as each trial begins
    run_trial = sweep_module.run_trial

    def record_and_run(*arguments: Any) -> None:
        row_times.append(row.stat().st_mtime_ns)
        run_trial(*arguments)

    monkeypatch.setattr(sweep_module, "run_trial", record_and_run)
    assert main(sweep_words(store, "--resume")) == 0
    monkeypatch.undo()
    assert row_times == [row_written_ns, row_written_ns]
    assert probe.stat().st_mtime_ns == trained_ns
    capsys.readouterr()
    assert main(sweep_words(tmp_path / "b")) == 0
    finished = capsys.readouterr().out
    assert main(["show", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert "AUROC" in shown
    assert finished.endswith(shown)
    tables = []
    for name in ("a", "b"):
        (table,) = (tmp_path / name).glob("sweep/*/table.parquet")
        tables.append(table.read_bytes())
    assert tables[0] == tables[1]
    assert len(list(store.glob("probe/*/model.safetensors"))) == 3
    capsys.readouterr()
    assert main(sweep_words(store, "--resume")) == 2
    refusal = capsys.readouterr().err
    assert "nothing to resume: this sweep is finished" in refusal
    assert Path(refusal.split("its table is ")[1].split(";")[0]).is_file()


def test_a_search_is_run_and_says_what_led_it_and_where_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    more = ["--search", "optuna", "--samples", "2", "--metric", "probe_loss", "--batch", "1"]
    assert main(sweep_words(tmp_path, *more, "--plan")) == 0
    expected = "2 of 3 trials, chosen by Optuna, led by the smallest probe_loss"
    assert expected in capsys.readouterr().out
    assert main(sweep_words(tmp_path, *more)) == 0
    shown = capsys.readouterr().out
    (table,) = tmp_path.glob("sweep/*/table.parquet")
    rows = read_rows(table)
    assert len(rows) == 2
    best = min(rows, key=lambda row: row["probe_loss"])
    expected = f"best probe_loss: {best['probe_loss']:.4g} in trial {best['trial']} "
    assert expected + f"(seed={best['seed']})" in shown
    assert "probe loss" in (table.parent / "sweep.html").read_text()


OPTUNA = ("--search", "optuna")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((*OPTUNA, "--metric", "separation"), "--search optuna needs --samples"),
        ((*OPTUNA, "--samples", "2"), "--search optuna needs --metric"),
        (
            (*OPTUNA, "--samples", "0", "--metric", "separation"),
            "--samples must be at least 1, not 0",
        ),
        (
            (*OPTUNA, "--samples", "2", "--metric", "auroc"),
            "auroc needs the truth or the test set",
        ),
        (
            (*OPTUNA, "--samples", "2", "--metric", "separation", "--asha", "probe.loss"),
            "do not go together",
        ),
        (("--metric", "separation"), "--metric leads a search"),
        (("--batch", "2"), "--batch leads a search"),
        (("--asha", "probe.loss"), "--asha needs --executor ray"),
    ],
)
def test_a_strategy_that_cannot_be_followed_is_refused_before_the_plan(
    more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(sweep_words(tmp_path / "store", *more)) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out
