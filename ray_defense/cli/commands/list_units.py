"""`ray-defense list`: the recipes, the named sweeps, and the names that `--set` takes."""

import argparse
import inspect
from collections.abc import Iterable, Iterator

from ray_defense.cli.parser import CommandParser


class ListCommand:
    """Prints the list."""

    def add_options(self, parser: CommandParser) -> None:
        pass

    def execute(self, options: argparse.Namespace) -> int:
        print("\n".join(list_lines()))
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


def unit_names() -> dict[str, Iterable[str]]:
    """Returns the registered units by kind; none of them is imported."""
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
