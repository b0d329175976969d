"""axes --trials--> the combinations of their values, all of them or a sample, each a recipe of its own."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.transforms import TRANSFORMS

ALL_PAIRS = "all-pairs"  # of transforms, in place of the values of score.tau: App. E's 36


@dataclass(frozen=True)
class Axis:
    """One field, or several that change together, and the values it takes."""

    path: str  # dotted, as `override` takes it; several are joined by `+`
    values: tuple[Any, ...]  # as `override` takes them


@dataclass(frozen=True)
class Trial:
    """One combination."""

    number: int
    changes: tuple[tuple[str, Any], ...]  # (path, value)
    recipe: Recipe


def parse_axis(text: str) -> Axis:
    """Returns the axis of `path=v1,v2`; values that hold commas themselves stand apart by semicolons (`a,b;c,d`).

    `a.x+b.x=1,2` changes two fields together. `score.tau=all-pairs` stands for the 36 pairs of transforms. Raises Refused
    for anything else.
    """
    path, equals, values = text.partition("=")
    if not (path and equals and values.strip(",; ")):
        raise Refused(f"an axis needs PATH=VALUE,VALUE, not {text!r}: for example --grid split.poison_fraction=0.01,0.05")
    if path == "score.tau" and values == ALL_PAIRS:
        return Axis(path, tuple(",".join(pair) for pair in itertools.product(TRANSFORMS, repeat=2)))
    found = tuple(value.strip() for value in values.split(";" if ";" in values else ",") if value.strip())
    if len(set(found)) < len(found):
        raise Refused(f"the axis {text!r} names a value twice: each is one trial")
    return Axis(path, found)


def grid(base: Recipe, axes: Sequence[Axis]) -> list[Trial]:
    """Returns one trial for every combination of values, the last axis running fastest; raises Refused as `override` does."""
    if not axes:
        raise Refused("a sweep needs at least one axis: --grid PATH=VALUE,VALUE, or a named sweep")
    if len({axis.path for axis in axes}) < len(axes):
        raise Refused("two axes name the same field: put its values into one")
    combinations = itertools.product(*([(axis.path, value) for value in axis.values] for axis in axes))
    return [_trial(base, number, changes) for number, changes in enumerate(combinations)]


def sample(base: Recipe, axes: Sequence[Axis], count: int, seed: int) -> list[Trial]:
    """Returns `count` different trials of the grid, drawn by `seed` (random search over the named values)."""
    everything = grid(base, axes)
    draws = uniform(stream(seed, "sweep"), [trial.number for trial in everything], 1)[:, 0]
    return sorted((everything[number] for number in draws.argsort(kind="stable")[:count]), key=lambda trial: trial.number)


def _trial(base: Recipe, number: int, changes: tuple[tuple[str, Any], ...]) -> Trial:
    recipe = base
    for paths, value in changes:
        for path in paths.split("+"):
            recipe = override(recipe, path, value)
    return Trial(number, tuple((path, _label(value)) for path, value in changes), recipe)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(to_plain(value))


def named(trial: Trial) -> str:
    """Returns the values of a trial in words."""
    return ", ".join(f"{path}={value}" for path, value in trial.changes)
