"""The plan of a sweep in words, and its rows as a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ray_defense.cli.output import print_named
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.data.table_file import read_table
from ray_defense.defenses import DEFENSES
from ray_defense.stages.backdoored import BACKDOORED, BACKDOORED_TITLE
from ray_defense.studies.planned_hours import PlannedHours
from ray_defense.sweeps.asha import Asha
from ray_defense.sweeps.grid import Trial
from ray_defense.sweeps.rows import swept_paths
from ray_defense.sweeps.search import Search
from ray_defense.sweeps.sweep import PAGE, TABLE, SearchStrategy, SweepOverview

_MAX_ROWS = 40  # the table's file has them all
_SCORE_HEADINGS = {
    "auroc": "AUROC",
    "trusted_precision": "trusted prec.",
    "flagged_precision": "flagged prec.",
}


def plan_lines(overview: SweepOverview, strategy: SearchStrategy) -> list[str]:
    """Returns the plan of a sweep in words."""
    lines = [_first_line(overview, strategy)]
    for stage in dict.fromkeys((*overview.num_found, *overview.num_to_make)):
        num_to_make = overview.num_to_make.get(stage, 0)
        num_found = overview.num_found.get(stage, 0)
        line = f"  {stage:<12} {num_to_make} to make, {num_found} found"
        if overview.num_epochs.get(stage):
            line += f", {overview.num_epochs[stage]} epochs"
        lines.append(line)
    lines.append(
        f"  scoring: {overview.num_clean_passes} passes of clean views, "
        f"{overview.num_transformed_passes} of transformed ones"
    )
    return lines


def hours_lines(hours: PlannedHours) -> list[str]:
    """Returns how long the missing work takes, in words."""
    if not hours.by_stage:
        return ["nothing is missing"]
    lines = [f"about {hours.total:.1f} {hours.unit} ({hours.source}):"]
    for stage, of_stage in sorted(hours.by_stage.items(), key=lambda item: -item[1]):
        lines.append(f"  {stage:<24} {of_stage:.2f} h")
    return lines


def _first_line(overview: SweepOverview, strategy: SearchStrategy) -> str:
    num_trials = overview.num_trials
    shared = "stages shared where their inputs are the same"
    if isinstance(strategy, Search):
        count = min(strategy.num_samples, num_trials)
        extreme = "largest" if strategy.mode == "max" else "smallest"
        return (
            f"{count} of {num_trials} trials, chosen by Optuna, led by the {extreme} "
            f"{strategy.metric}; all would be:"
        )
    if isinstance(strategy, Asha):
        return (
            f"{num_trials} trials, stopped early by {strategy.stage}.{strategy.metric}, {shared}; "
            "at most:"
        )
    return f"{num_trials} trials, {shared}:"


def print_sweep(
    console: Console, folder: Path, trials: Sequence[Trial], strategy: SearchStrategy
) -> None:
    """Prints the table of a finished sweep, what was left out, and where the files are."""
    rows = read_table(folder / TABLE).to_pylist()
    titles: dict[str, str] = {}
    for trial in trials:
        titles.update(trial.recipe.model_titles())
    metric = strategy.metric if isinstance(strategy, Search) else None
    _print_rows(console, rows, titles, metric=metric)
    if isinstance(strategy, Search):
        best = _best_trial(trials, rows, strategy)
        print_named(console, f"best {strategy.metric}", best)
    _print_files(console, folder)


def print_stored_sweep(console: Console, folder: Path) -> None:
    """Prints what the artifact of a sweep holds, of whose trials nothing else is known."""
    rows = read_table(folder / TABLE).to_pylist()
    titles = {BACKDOORED: BACKDOORED_TITLE}
    for name, defense in DEFENSES.items():
        titles[name] = defense.title
    _print_rows(console, rows, titles, metric=None)
    _print_files(console, folder)


def _print_rows(
    console: Console,
    rows: Sequence[dict[str, Any]],
    titles: Mapping[str, str],
    *,
    metric: str | None,
) -> None:
    """Prints the first rows, and which trials were left out and why."""
    console.print(_rows_table(rows, titles, metric))
    if len(rows) > _MAX_ROWS:
        console.print(f"the first {_MAX_ROWS} of {len(rows)} trials")
    for row in rows:
        for outcome in ("refused", "stopped"):
            if row[outcome]:
                print_named(console, f"trial {row['trial']} was {outcome}", row[outcome])


def _print_files(console: Console, folder: Path) -> None:
    for name in (TABLE, PAGE):
        print_named(console, name, folder / name)


def _best_trial(trials: Sequence[Trial], rows: Sequence[dict[str, Any]], search: Search) -> str:
    """Returns the best value of the search's metric, and the trial that gave it, in words."""
    values = {}
    for row in rows:
        if row[search.metric] is not None:
            values[row["trial"]] = row[search.metric]
    if not values:
        return "no trial has one"
    choose = max if search.mode == "max" else min
    number = choose(values, key=values.__getitem__)
    (trial,) = [trial for trial in trials if trial.number == number]
    return f"{values[number]:.4g} in trial {number} ({trial})"


def _model_headings(titles: Mapping[str, str]) -> dict[str, str]:
    """Returns the headings of the rates of models."""
    headings = {}
    for model, title in titles.items():
        headings[f"{model}_acc"] = "ACC" if model == BACKDOORED else f"{title} ACC"
        headings[f"{model}_asr"] = "ASR"
        headings[f"{model}_robust_acc"] = "robust ACC"
    return headings


def _rows_table(
    rows: Sequence[dict[str, Any]], titles: Mapping[str, str], metric: str | None
) -> Table:
    """Returns the rows with those columns that have a number, the metric of a search first."""
    paths = swept_paths(rows[0])
    headings = {**_SCORE_HEADINGS, **_model_headings(titles)}
    if metric is not None:
        headings = {metric: metric, **headings}
    columns = []
    for name in headings:
        if any(row.get(name) is not None for row in rows):
            columns.append(name)
    table = Table(box=SIMPLE_HEAD)
    for path in paths:
        table.add_column(escape_unprintable(path.split(".", 1)[-1]))
    for name in columns:
        table.add_column(headings[name])
    for row in rows[:_MAX_ROWS]:
        cells = [escape_unprintable(row[path]) for path in paths]
        for name in columns:
            cells.append("n/a" if row[name] is None else f"{row[name]:.3f}")
        table.add_row(*cells)
    return table
