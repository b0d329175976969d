"""Runs a reproduction panel by panel, and writes its table: Markdown, page, and a record a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray_defense.core.errors import RunError
from ray_defense.core.files import write_bytes, write_json
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.reports.reproduction import (
    Picture,
    ReproducedCell,
    ReproducedTable,
    render_markdown,
    render_page,
)
from ray_defense.store.artifacts import Store
from ray_defense.studies.reproduced_cells import CellKey, first_of_each_cell, reproduced_cells
from ray_defense.studies.reproduction import Panel, Reproduction, Scale
from ray_defense.studies.run_cell import RunCell, cell_of_run
from ray_defense.studies.run_readings import Reading, RunReading, read_run
from ray_defense.sweeps.grid import Trial
from ray_defense.sweeps.sweep import TABLE, locate_sweep, plan_trials, run_sweep

TABLE_FILE = "table.md"
PAGE_FILE = "table.html"
RUNS_FOLDER = "runs"  # one JSON file a run

_OUTCOMES = ("refused", "stopped")


def run_reproduction(
    reproduction: Reproduction,
    panels: Sequence[Panel],
    store: Store,
    *,
    executor: Executor,
    name: str,
    scale: Scale,
    out: Path,
    command: str,
) -> None:
    """Runs the panels and writes the table into a folder.

    Args:
        reproduction: What is reproduced.
        panels: Its runs.
        store: Where results are kept; what it holds is not done again.
        executor: Who does the work.
        name: Of the table.
        scale: Of the runs.
        out: The folder.
        command: What makes the same table again.

    Raises:
        RunError: At the end, if runs failed; the table has the others, and the same call runs
            those that failed.
    """
    from ray_defense.data.table_file import read_table

    cells: list[ReproducedCell] = []
    pictures: list[Picture] = []
    num_missing = 0
    failures: list[str] = []
    for panel in panels:
        rows: list[dict[str, Any]] = []
        try:
            artifact = run_sweep(panel.recipe, panel.trials, store, executor=executor)
            rows = read_table(artifact.path / TABLE).to_pylist()
        except RunError as error:
            failures.append(str(error))
            plans = plan_trials(panel.trials, store)
            unfinished = locate_sweep(panel.recipe, plans, None, store).work / TABLE
            if unfinished.exists():
                rows = read_table(unfinished).to_pylist()
        finished = [row for row in rows if not any(row.get(outcome) for outcome in _OUTCOMES)]
        num_missing += len(panel.trials) - len(finished)
        by_number = {trial.number: trial for trial in panel.trials}
        of_panel = reproduced_cells(reproduction, panel, finished)
        if reproduction.reading is not None:
            first_runs = first_of_each_cell(panel, finished)
            trials = {key: by_number[row["trial"]] for key, row in first_runs.items()}
            readings = _read_runs(reproduction.reading, trials, store)
            of_panel = [_with_note(cell, readings) for cell in of_panel]
            for (attack, column), reading in readings.items():
                if reading.picture is not None:
                    title = attack
                    if panel.axis is not None:
                        title += f", {panel.axis.path}={column}"
                    pictures.append(Picture(title, reading.picture))
        cells.extend(of_panel)
        if panel.variant is not None and panel.variant.reading:
            continue  # the runs of another panel, of which other numbers are shown
        for row in finished:
            record = _cell_of_row(panel, by_number[row["trial"]], row)
            file = out / RUNS_FOLDER / f"{panel.name}_{row['trial']:05d}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, record)
    table = ReproducedTable(
        name=name,
        shows=reproduction.shows,
        scale=scale,
        num_trials=sum(len(panel.trials) for panel in panels),
        num_missing=num_missing,
        cells=cells,
        command=command,
        pictures=pictures,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / TABLE_FILE, render_markdown(table).encode())
    write_bytes(out / PAGE_FILE, render_page(table).encode())
    if failures:
        raise RunError("; ".join(failures))


def _read_runs(
    reading: Reading, trials: Mapping[CellKey, Trial], store: Store
) -> dict[CellKey, RunReading]:
    readings = {}
    for key, trial in trials.items():
        plan = plan_recipe(trial.recipe, store)
        with store.claim(list(plan.artifacts().values())):  # fetched, where the store is remote
            readings[key] = read_run(reading, plan)
    return readings


def _with_note(cell: ReproducedCell, readings: Mapping[CellKey, RunReading]) -> ReproducedCell:
    """Returns a cell with what was read off its first run."""
    for column in (None, cell.column):
        reading = readings.get((cell.attack, column))
        if reading is not None:
            return replace(cell, note=reading.note(cell.column))
    return cell


def _cell_of_row(panel: Panel, trial: Trial, row: Mapping[str, Any]) -> RunCell:
    paths = {path for path, _ in trial.changes}
    numbers = {key: value for key, value in row.items() if key not in paths}
    for outcome in (*_OUTCOMES, "trial"):
        numbers.pop(outcome, None)
    return cell_of_run(trial.recipe, trial.changes, panel.overrides, numbers)
