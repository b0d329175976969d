"""The plan of a sweep in words, and its rows as a table."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from ray_defense.cli.tables.sweep_table import plan_lines, print_sweep
from ray_defense.pipeline.recipe import Recipe
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.asha import parse_asha
from ray_defense.sweeps.grid import Axis, Trial, grid_trials
from ray_defense.sweeps.rows import empty_row
from ray_defense.sweeps.search import Search
from ray_defense.sweeps.sweep import SearchStrategy, plan_trials, summarize_plans
from tests.support import tiny


@pytest.fixture
def trials(digits: Path) -> list[Trial]:
    base: Recipe = replace(tiny.recipe(digits), backdoored=None, defenses=())
    return grid_trials(base, [Axis("seed", ("0", "1"))])


def lines_of_plan(trials: list[Trial], store: Path, strategy: SearchStrategy) -> list[str]:
    opened = Store(store)
    plans = plan_trials(trials, opened)
    return plan_lines(summarize_plans(list(plans.values()), opened), strategy)


def test_the_plan_of_a_sweep_counts_what_is_to_be_made(trials: list[Trial], tmp_path: Path):
    assert lines_of_plan(trials, tmp_path, None) == [
        "2 trials, stages shared where their inputs are the same:",
        "  ingest       1 to make, 0 found",
        "  probe        2 to make, 0 found, 6 epochs",
        "  evidence     2 to make, 0 found",
        "  split        2 to make, 0 found",
        "  evaluation   2 to make, 0 found",
        "  scoring: 2 passes of clean views, 2 of transformed ones",
    ]


def test_the_plan_of_a_sweep_that_stops_trials_early_is_a_bound(
    trials: list[Trial], tmp_path: Path
):
    first = lines_of_plan(trials, tmp_path, parse_asha("probe.loss"))[0]
    assert first.startswith("2 trials, stopped early by probe.loss")
    assert first.endswith("at most:")


def print_rows(
    trials: list[Trial], rows: list[dict[str, Any]], folder: Path, strategy: SearchStrategy
) -> str:
    """Returns what is printed of a sweep with these rows."""
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    file = io.StringIO()
    print_sweep(Console(file=file, width=100, highlight=False), folder, trials, strategy)
    return file.getvalue()


def test_rows_are_shown_with_the_columns_that_have_numbers(trials: list[Trial], tmp_path: Path):
    rows = [
        {**empty_row(trials[0]), "auroc": 0.75},
        {**empty_row(trials[1]), "refused": "too\x1b small"},
    ]
    shown = print_rows(trials, rows, tmp_path, None)
    cells = [line.split() for line in shown.splitlines()]
    assert ["seed", "AUROC"] in cells
    assert ["0", "0.750"] in cells
    assert ["1", "n/a"] in cells
    assert "trial 1 was refused: too\\x1b small\n" in shown
    assert f"table.parquet: {tmp_path / 'table.parquet'}\n" in shown
    assert f"sweep.html: {tmp_path / 'sweep.html'}\n" in shown


def test_the_best_trial_of_a_search_is_named(trials: list[Trial], tmp_path: Path):
    search = Search(2, "probe_loss", "min")
    rows = [
        {**empty_row(trials[0]), "probe_loss": 0.5},
        {**empty_row(trials[1]), "probe_loss": 0.25},
    ]
    assert "best probe_loss: 0.25 in trial 1 (seed=1)\n" in print_rows(
        trials, rows, tmp_path, search
    )
    without = [empty_row(trial) for trial in trials]
    assert "best probe_loss: no trial has one\n" in print_rows(trials, without, tmp_path, search)
