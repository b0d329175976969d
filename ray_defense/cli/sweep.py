"""`ray-defense sweep`: the plan of many runs, then the runs, their table and its page."""

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ray_defense.cli.inert import inert
from ray_defense.cli.options import SweepOptions
from ray_defense.cli.output import say, stdout
from ray_defense.cli.prepare import configured, prepared, where
from ray_defense.core.config import override
from ray_defense.core.errors import Refused, look_up

if TYPE_CHECKING:
    from ray_defense.pipeline.pipeline import Recipe
    from ray_defense.sweeps.grid import Trial
    from ray_defense.sweeps.search import Search
    from ray_defense.sweeps.sweep import Overview, Way

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
    work, console = options.work, stdout()
    with prepared(work, quiet=work.quiet or options.plan):
        from ray_defense import api  # seconds: it loads torch

        base, trials = _trials(options)
        way = _way(options)
        overview = api.plan_sweep(trials, store=work.store, executor=work.executor, way=way)
        for line in describe(overview, way):
            console.print(line, soft_wrap=True, markup=False)
        if options.resume:
            api.check_unfinished(base, trials, store=work.store, way=way)
        if options.plan:
            return 0
        made = api.sweep(base, trials, **where(work), way=way)
    rows = pq.read_table(made / "table.parquet").to_pylist()
    led_by = options.metric
    console.print(_table(trials, rows, led_by))
    if len(rows) > _SHOWN:
        console.print(f"the first {_SHOWN} of {len(rows)} trials")
    for row in rows:
        for what in ("refused", "stopped"):
            if row[what]:
                say(console, f"trial {row['trial']} was {what}", row[what])
    if led_by is not None:
        say(console, f"best {led_by}", _best(trials, rows, way))
    for name in ("table.parquet", "sweep.html"):
        say(console, name, made / name)
    return 0


def _trials(options: SweepOptions) -> tuple["Recipe", list["Trial"]]:
    from ray_defense.pipeline.recipes import SWEEPS
    from ray_defense.sweeps import grid as stage

    base, axes = configured(options.work), [stage.parse_axis(text) for text in options.grid]
    if options.named is not None:
        named = look_up(SWEEPS, "sweep", options.named)
        for path, value in named.changes:
            base = override(base, path, value)
        axes = [*map(stage.parse_axis, named.axes), *axes]
    if options.samples is None or options.search is not None:  # a search chooses from all
        return base, stage.grid(base, axes)
    if options.samples < 1:
        raise Refused(f"--samples must be at least 1, not {options.samples}")
    return base, stage.sample(base, axes, options.samples, base.seed)


def _way(options: SweepOptions) -> "Way":
    from ray_defense.reports import metrics as blind
    from ray_defense.sweeps import asha as halving
    from ray_defense.sweeps.search import Search

    if options.search is None:
        for name in ("metric", "mode", "batch"):
            if getattr(options, name) is not None:
                raise Refused(f"--{name} leads a search: add --search optuna, or leave it out")
        return None if options.asha is None else halving.parse(options.asha)
    if options.asha is not None:
        raise Refused(
            "--search and --asha do not go together: the search would learn from who was stopped, which chance decides"
        )
    for name in ("samples", "metric"):
        if getattr(options, name) is None:
            raise Refused(f"--search {options.search} needs --{name}: for example --samples 20 --metric poisoned_concentration")
    mode = options.mode or blind.better(options.metric)
    batch = {} if options.batch is None else {"batch": options.batch}
    return Search(options.samples, options.metric, mode, **batch)


def describe(overview: "Overview", way: "Way" = None) -> list[str]:
    """Returns the plan of a sweep in words."""
    from ray_defense.sweeps.asha import Halving
    from ray_defense.sweeps.search import Search

    shared = "stages shared where their inputs are the same"
    match way:
        case Search():
            led = f"led by the {'largest' if way.mode == 'max' else 'smallest'} {way.metric}"
            count = min(way.samples, overview.num_trials)
            first = f"{count} of {overview.num_trials} trials, chosen by Optuna, {led}; all would be:"
        case Halving():
            first = f"{overview.num_trials} trials, stopped early by {way.stage}.{way.metric}, {shared}; at most:"
        case None:
            first = f"{overview.num_trials} trials, {shared}:"
    lines = [first]
    for stage in dict.fromkeys((*overview.found, *overview.to_make)):
        make, found = overview.to_make.get(stage, 0), overview.found.get(stage, 0)
        epochs = f", {overview.epochs[stage]} epochs" if overview.epochs.get(stage) else ""
        lines.append(f"  {stage:<12} {make} to make, {found} found{epochs}")
    clean, moved = overview.clean_passes, overview.transformed_passes
    lines.append(f"  scoring: {clean} passes of clean views, {moved} of transformed ones")
    return lines


def _best(trials: list["Trial"], rows: list[dict], way: "Search") -> str:
    from ray_defense.sweeps.grid import named

    found = {row["trial"]: row[way.metric] for row in rows if row[way.metric] is not None}
    if not found:
        return "no trial has one"
    number = (max if way.mode == "max" else min)(found, key=found.__getitem__)
    (values,) = (named(trial) for trial in trials if trial.number == number)
    return f"{found[number]:.4g} in trial {number} ({values})"


def _table(trials: list["Trial"], rows: list[dict], led_by: str | None) -> Table:
    table = Table(box=SIMPLE_HEAD)
    paths = [path for path, _ in trials[0].changes]
    columns = _COLUMNS if led_by is None else {led_by: led_by} | _COLUMNS
    shown = [name for name in columns if any(row[name] is not None for row in rows)]
    for title in (*(path.split(".", 1)[-1] for path in paths), *(columns[name] for name in shown)):
        table.add_column(inert(title))
    for row in rows[:_SHOWN]:
        found = ("n/a" if row[name] is None else f"{row[name]:.3f}" for name in shown)
        table.add_row(*(inert(row[path]) for path in paths), *found)
    return table
