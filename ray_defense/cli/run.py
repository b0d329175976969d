"""`ray-defense run`: the configuration a person asked for, its progress, its numbers and where they are."""

import json
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from ray_defense.cli.bars import bars
from ray_defense.cli.inert import inert
from ray_defense.cli.options import RunOptions
from ray_defense.cli.table import render
from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Refused
from ray_defense.stages.result import Result

_WIDTH = 100  # of output that goes to a file


def run(options: RunOptions) -> int:
    """Runs a recipe and prints its table, or prints the configuration that would run."""
    if options.data_root is not None:
        os.environ["RAY_DEFENSE_DATA"] = str(Path(options.data_root).expanduser().resolve())  # workers inherit it
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of Ray's and torch's own imports; `python -W default` shows them
    if options.backend == "auto" and not options.quiet and find_spec("ffcv") is None:
        print("FFCV is not installed: shards are read by NumPy, with identical tensors", file=sys.stderr)
    with bars(quiet=options.quiet or options.print_config):
        from ray_defense import api, recipes  # seconds: they load torch

        config = recipes.recipe(options.recipe)
        for assignment in options.set:
            config = override(config, *_pair(assignment))
        if options.print_config:
            print(json.dumps(to_plain(config), indent=2))
            return 0
        result = api.run(config, store=options.store, executor=options.executor, backend=options.backend)
    show(result, Path(options.store).expanduser().resolve() / "result.json")
    return 0


def show(result: Result, written: Path) -> None:
    """Prints the table and, each on one line however long, where the files are."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(render(result))
    paths = {"report.html": result.report, "result.json": written}
    if result.score.auroc is None:  # no truth: what the split calls poisoned is all there is to look at
        paths["candidates, not finds (split = poisoned)"] = Path(result.artifacts["split"], "split.parquet")
    for name, path in paths.items():
        console.print(f"{name}: {inert(path)}", soft_wrap=True, markup=False)


def _pair(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not key or not equals:
        raise Refused(f"--set needs KEY=VALUE, not {assignment!r}: for example --set probe.epochs=4")
    return key, value
