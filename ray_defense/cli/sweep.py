"""`ray-defense sweep`: the plan of many runs, then the runs, their table and its page."""

import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ray_defense.cli.inert import inert
from ray_defense.cli.options import SweepOptions
from ray_defense.cli.prepare import WIDTH, configured, prepared
from ray_defense.core.config import override
from ray_defense.core.errors import Refused, look_up

if TYPE_CHECKING:
    from ray_defense.stages.pipeline import Recipe
    from ray_defense.stages.sweep import Overview, Trial

_SHOWN = 40  # rows; the table's file has them all
_COLUMNS = {
    "auroc": "AUROC",
    "trusted_precision": "trusted prec.",
    "poisoned_precision": "poisoned prec.",
    "backdoored_acc": "ACC",
    "backdoored_asr": "ASR",
    "d_br_acc": "D-BR ACC",
    "d_br_asr": "ASR",
    "d_st_acc": "D-ST ACC",
    "d_st_asr": "ASR",
}


def sweep(options: SweepOptions) -> int:
    """Prints the plan of a sweep and, unless only that is wanted, runs it and prints its table and where that is."""
    work, console = options.work, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    with prepared(work, quiet=work.quiet or options.plan):
        from ray_defense import api  # seconds: it loads torch

        base, trials = _trials(options)
        for line in describe(api.plan_sweep(trials, store=work.store)):
            console.print(line, soft_wrap=True, markup=False)
        if options.plan:
            return 0
        made = api.sweep(base, trials, store=work.store, executor=work.executor, backend=work.backend)
    rows = pq.read_table(made / "table.parquet").to_pylist()
    console.print(_table(trials, rows))
    if len(rows) > _SHOWN:
        console.print(f"the first {_SHOWN} of {len(rows)} trials")
    for row in rows:
        if row["refused"]:
            console.print(f"trial {row['trial']} was refused: {inert(row['refused'])}", soft_wrap=True, markup=False)
    for name in ("table.parquet", "sweep.html"):
        console.print(f"{name}: {inert(made / name)}", soft_wrap=True, markup=False)
    return 0


def _trials(options: SweepOptions) -> tuple["Recipe", list["Trial"]]:
    from ray_defense.recipes import SWEEPS
    from ray_defense.stages import sweep as stage

    base, axes = configured(options.work), [stage.parse_axis(text) for text in options.grid]
    if options.named is not None:
        named = look_up(SWEEPS, "sweep", options.named)
        for path, value in named.changes:
            base = override(base, path, value)
        axes = [*map(stage.parse_axis, named.axes), *axes]
    if options.samples is None:
        return base, stage.grid(base, axes)
    if options.samples < 1:
        raise Refused(f"--samples must be at least 1, not {options.samples}")
    return base, stage.sample(base, axes, options.samples, base.seed)


def describe(overview: "Overview") -> list[str]:
    """Returns the plan of a sweep in words."""
    lines = [f"{overview.num_trials} trials, stages shared where their inputs are the same:"]
    for stage in dict.fromkeys((*overview.found, *overview.to_make)):
        make, found = overview.to_make.get(stage, 0), overview.found.get(stage, 0)
        epochs = f", {overview.epochs[stage]} epochs" if overview.epochs.get(stage) else ""
        lines.append(f"  {stage:<12} {make} to make, {found} found{epochs}")
    clean, moved = overview.clean_passes, overview.transformed_passes
    lines.append(f"  scoring: {clean} passes of clean views, {moved} of transformed ones")
    return lines


def _table(trials: list["Trial"], rows: list[dict]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    paths = [path for path, _ in trials[0].changes]
    shown = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    for title in (*(path.split(".", 1)[-1] for path in paths), *(_COLUMNS[name] for name in shown)):
        table.add_column(inert(title))
    for row in rows[:_SHOWN]:
        found = ("n/a" if row[name] is None else f"{row[name]:.3f}" for name in shown)
        table.add_row(*(inert(row[path]) for path in paths), *found)
    return table
