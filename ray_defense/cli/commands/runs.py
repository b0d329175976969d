"""`ray-defense runs`: what runs a store holds."""

import argparse
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.store.stored_runs import StoredRuns


class RunsCommand:
    """Prints one row for each run, the last one first, and what is not finished."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="the directory of the store")

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense.cli.output import stdout_console
        from ray_defense.store.stored_runs import list_runs

        stdout_console().print(runs_table(list_runs(options.store)))
        return 0


def runs_table(stored: "StoredRuns") -> "RenderableType":
    """Returns the runs as a table, and the stages that are not finished."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from ray_defense.core.escape_unprintable import escape_unprintable

    if not stored.runs and not stored.unfinished:
        return Text("no run")
    table = Table(box=SIMPLE_HEAD)
    for title in ("recipe", "seed", "finished (UTC)", "stages", "last artifact"):
        table.add_column(title, overflow="fold")
    for run in stored.runs:
        table.add_row(
            Text("-" if run.recipe is None else escape_unprintable(run.recipe)),
            "-" if run.seed is None else str(run.seed),
            run.finished.strftime("%Y-%m-%d %H:%M"),
            Text(escape_unprintable(", ".join(run.stages))),
            Text(escape_unprintable(f"{run.path.parent.name}/{run.path.name}")),
        )
    parts: list[RenderableType] = [table]
    if stored.unfinished:
        stages = escape_unprintable(", ".join(stored.unfinished))
        parts.append(Text(f"not finished: {stages}; the same command resumes", style="yellow"))
    return Group(*parts)


RUNS = RunsCommand()
