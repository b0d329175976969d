"""axes --grid--> the combinations of their values, all of them or a sample, each a recipe."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.random import stream, uniform
from ray_defense.pipeline.recipe import Recipe
from ray_defense.transforms import TRANSFORMS

ALL_PAIRS = "all-pairs"  # stands for the 36 pairs of transforms (App. E), where a tau is expected


@dataclass(frozen=True)
class Axis:
    """One field, or several that change together, and the values it takes."""

    path: str  # dotted, as `override` takes it; several are joined by `+`
    values: tuple[Any, ...]  # as `override` takes them


@dataclass(frozen=True)
class Trial:
    """One combination of values."""

    number: int
    changes: tuple[tuple[str, Any], ...]  # (path, value)
    recipe: Recipe

    def __str__(self) -> str:
        """Returns the values in words."""
        return ", ".join(f"{path}={value}" for path, value in self.changes)


def parse_axis(text: str) -> Axis:
    """Returns the axis that a text describes.

    Args:
        text: `path=v1,v2`. Values that hold commas themselves stand apart by semicolons
            (`a,b;c,d`). `a.x+b.x=1,2` changes two fields together. `detect.fct.tau=all-pairs`
            stands for the 36 pairs of transforms.

    Raises:
        InputError: For anything else.
    """
    path, _, values_text = text.partition("=")
    if not path or not values_text.strip(",; "):
        raise InputError(
            f"an axis needs PATH=VALUE,VALUE, not {text!r}: "
            "for example --grid decide.flagged_fraction=0.01,0.05"
        )
    if path.endswith(".tau") and values_text == ALL_PAIRS:
        pairs = itertools.product(TRANSFORMS, repeat=2)
        return Axis(path, tuple(",".join(pair) for pair in pairs))
    separator = ";" if ";" in values_text else ","
    values = []
    for value in values_text.split(separator):
        if value.strip():
            values.append(value.strip())
    if len(set(values)) < len(values):
        raise InputError(f"the axis {text!r} names a value twice: each is one trial")
    return Axis(path, tuple(values))


def grid_trials(base: Recipe, axes: Sequence[Axis]) -> list[Trial]:
    """Returns one trial for every combination of values, the last axis running fastest.

    Raises:
        InputError: Without an axis, for two axes of one field, or as `override` does.
    """
    if not axes:
        raise InputError(
            "a sweep needs at least one axis: --grid PATH=VALUE,VALUE, or a named sweep"
        )
    if len({axis.path for axis in axes}) < len(axes):
        raise InputError("two axes name the same field: put its values into one")
    choices = []
    for axis in axes:
        choices.append([(axis.path, value) for value in axis.values])
    trials = []
    for number, changes in enumerate(itertools.product(*choices)):
        trials.append(_trial(base, number, changes))
    return trials


def sampled_trials(base: Recipe, axes: Sequence[Axis], count: int, seed: int) -> list[Trial]:
    """Returns different trials of the grid, drawn by a seed, in the order of the grid.

    Args:
        base: The recipe that is changed.
        axes: The axes of the grid.
        count: How many trials; all of them if the grid has fewer.
        seed: Of the draw.
    """
    trials = grid_trials(base, axes)
    draws = uniform(stream(seed, "sweep"), np.arange(len(trials)), 1)[:, 0]
    chosen = sorted(draws.argsort(kind="stable")[:count].tolist())
    return [trials[number] for number in chosen]


def _trial(base: Recipe, number: int, changes: tuple[tuple[str, Any], ...]) -> Trial:
    recipe = base
    labeled = []
    for paths, value in changes:
        for path in paths.split("+"):
            recipe = override(recipe, path, value)
        label = value if isinstance(value, str) else json.dumps(to_plain(value))
        labeled.append((paths, label))
    return Trial(number, tuple(labeled), recipe)
