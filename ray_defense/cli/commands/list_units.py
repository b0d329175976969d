"""`ray-defense list`: the recipes, the named sweeps, and the names that `--set` takes.

`ray-defense list KIND` says what each unit of one kind is.
"""

import argparse
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import look_up


class ListCommand:
    """Prints the list."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "kind",
            nargs="?",
            metavar="kind",
            help="a kind of units, such as `attacks` or `defenses`: what each of them is",
        )

    def execute(self, options: argparse.Namespace) -> int:
        lines = list_lines() if options.kind is None else unit_lines(options.kind)
        print("\n".join(lines))
        return 0


def list_lines() -> Iterator[str]:
    """Yields the recipes and sweeps with what they are, then one line for each kind of unit."""
    from ray_defense.pipeline.recipes import RECIPES
    from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS

    yield "recipes"
    for name, recipe in RECIPES.items():
        summary = inspect.getdoc(recipe) or ""
        yield f"  {name:<22} {summary.splitlines()[0]}"
    yield "sweeps (sweep RECIPE --named NAME)"
    for name, sweep in PAPER_SWEEPS.items():
        yield f"  {name:<22} {sweep.shows}"
    for kind, names in unit_names().items():
        yield f"{kind:<24} {', '.join(names)}"


def unit_lines(kind: str) -> Iterator[str]:
    """Yields a line for each unit of a kind: its name, what it needs where it says so, what it is.

    Raises:
        InputError: If there is no such kind; the message suggests the nearest.
    """
    for name, unit in look_up(unit_names(), "kind of units", kind).items():
        summary = (inspect.getdoc(unit) or "").splitlines()[0]
        needs = getattr(unit, "needs", None)
        if isinstance(needs, str):
            summary = f"{f'needs {needs}.':<18} {summary}"
        yield f"  {name:<22} {summary}"


def unit_names() -> dict[str, Mapping[str, Any]]:
    """Returns the registered units by kind; none of them is imported before it is looked up."""
    from ray_defense.attacks import ATTACKS
    from ray_defense.data.sources import SOURCES
    from ray_defense.defenses import DEFENSES
    from ray_defense.detectors import DETECTORS
    from ray_defense.detectors.decision import DECISIONS
    from ray_defense.models import MODELS
    from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS

    return {
        "attacks": ATTACKS,
        "transforms": TRANSFORMS,
        "augmentations": AUGMENTATIONS,
        "detectors": DETECTORS,
        "decisions": DECISIONS,
        "defenses": DEFENSES,
        "sources": SOURCES,
        "models": MODELS,
    }


LIST = ListCommand()
