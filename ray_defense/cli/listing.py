"""`ray-defense list`: the recipes, the named sweeps, and the names that `--set` takes."""

import inspect
from collections.abc import Iterable, Iterator

from ray_defense.attacks import ATTACKS
from ray_defense.data.sources import SOURCES
from ray_defense.defenses import DEFENSES
from ray_defense.models import MODELS
from ray_defense.pipeline.recipes import RECIPES, SWEEPS
from ray_defense.scores import SCORES
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS

UNITS: dict[str, Iterable[str]] = {
    "attacks": ATTACKS,
    "transforms": TRANSFORMS,
    "augmentations": AUGMENTATIONS,
    "scores": SCORES,
    "defenses": DEFENSES,
    "sources": SOURCES,
    "models": MODELS,
}


def show() -> int:
    """Prints the list."""
    print("\n".join(lines()))
    return 0


def lines() -> Iterator[str]:
    """Yields the recipes and sweeps with what they are, then one line for each kind of unit."""
    yield "recipes"
    for name, recipe in RECIPES.items():
        yield f"  {name:<22} {inspect.getdoc(recipe).splitlines()[0]}"
    yield "sweeps (sweep RECIPE --named NAME)"
    for name, sweep in SWEEPS.items():
        yield f"  {name:<22} {sweep.shows}"
    for kind, names in UNITS.items():
        yield f"{kind:<24} {', '.join(names)}"
