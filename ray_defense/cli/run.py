"""`ray-defense run`: the configuration a person asked for, its progress, its numbers and where they are."""

import json
from pathlib import Path

from ray_defense.cli.options import RunOptions
from ray_defense.cli.output import say, stdout
from ray_defense.cli.prepare import configured, prepared, where
from ray_defense.cli.table import render
from ray_defense.core.config import to_plain
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import directory


def run(options: RunOptions) -> int:
    """Runs a recipe and prints its table, or prints the configuration that would run."""
    work = options.work
    with prepared(work, quiet=work.quiet or options.print_config):
        from ray_defense import api  # seconds: it loads torch

        config = configured(work)
        if options.print_config:
            print(json.dumps(to_plain(config), indent=2))
            return 0
        result = api.run(config, **where(work))
    show(result, directory(work.store) / "result.json")
    return 0


def show(result: Result, written: Path) -> None:
    """Prints the table and, each on one line however long, where the files are."""
    console = stdout()
    console.print(render(result))
    paths = {"report.html": result.report, "result.json": written}
    if result.score.auroc is None:  # no truth: what the split calls poisoned is all there is to look at
        paths["candidates, not finds (split = poisoned)"] = Path(result.artifacts["split"], "split.parquet")
    for name, path in paths.items():
        say(console, name, path)
