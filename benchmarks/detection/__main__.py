"""What detectors and their decision find, attack by attack, and what they say of clean data.

    python -m benchmarks.detection development --attack badnets --rate 0.1 --seed 0

A cell is an attack, a rate and a seed, which is the seed of the run and of the attacker. Each cell
leaves a file of its own as soon as it is measured. The attack "none" leaves the data clean. An
attack with settings is named twice: `--attack sig --set attack=sig --set attack.frequency=4`.
Artifacts stay in the store, so another call trains nothing twice.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.detection.measure import measure_detection
from benchmarks.support import (
    add_executor_options,
    add_set_option,
    changed_recipe,
    open_study,
    study_parser,
)
from ray_defense.api import make_executor
from ray_defense.core.config import override
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.store.artifacts import Store

MODULE = "benchmarks.detection"
CLEAN = "none"
DEVELOPMENT = ("badnets", "blend_signal", "sig", "blend_picture")  # what choices may look at


def cell_recipe(base: Recipe, attack: str, rate: float, seed: int) -> Recipe:
    """Returns the recipe of a cell; an attack that the base has already keeps its settings."""
    recipe = base
    if base.attack is None or base.attack.name != attack:
        recipe = override(base, "attack", attack)
    recipe = override(recipe, "seed", seed)
    recipe = override(recipe, "poison.seed", seed)
    return override(recipe, "poison.rate", rate)


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("name", help="of the folder of results: development, confirmation, clean")
    parser.add_argument("--recipe", default="cifar10_badnets_robust")
    parser.add_argument("--store", type=Path, default=Path("store-detection"))
    parser.add_argument("--attack", action="append", default=[], help="repeatable")
    parser.add_argument("--rate", type=float, action="append", default=[], help="repeatable")
    parser.add_argument("--seed", type=int, action="append", default=[], help="repeatable")
    add_executor_options(parser)
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all cells."""
    options = command_parser().parse_args(arguments)
    base = changed_recipe(named_recipe(options.recipe), options.set)
    store = Store(options.store)
    executor = make_executor(options.executor, options.backend)
    try:
        with open_study(MODULE, arguments, options.results) as study:
            for attack in options.attack or DEVELOPMENT:
                rates = [0.0] if attack == CLEAN else options.rate or [0.1]
                for rate in rates:
                    for seed in options.seed or [0]:
                        recipe = cell_recipe(base, attack, rate, seed)
                        cell = f"{attack}_rate{rate:g}_seed{seed}"
                        measure = partial(measure_detection, recipe, store, executor)
                        figures = study.measure(cell, measure)
                        described = {
                            "recipe": options.recipe,
                            "set": options.set,
                            "attack": attack,
                            "rate": rate,
                            "seed": seed,
                            **figures,
                        }
                        study.store(f"{options.name}/{cell}", described)
    finally:
        executor.close()


if __name__ == "__main__":
    main()
