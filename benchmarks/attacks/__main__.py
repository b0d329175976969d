"""Every attack on one recipe: is it learned, and where does FCT find it?

    python -m benchmarks.attacks cifar10_badnets_small --attack sig --attack label_consistent

Measured are ACC and ASR of the backdoored model beside a clean one's, the AUROC after cross-entropy
and after each epoch of L_intra, and the metrics that need no truth.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.attacks.measure import measure_strength, measure_trace
from benchmarks.support import (
    add_executor_options,
    add_set_option,
    changed_recipe,
    open_study,
    study_parser,
)
from ray_defense.api import make_executor
from ray_defense.attacks import ATTACKS
from ray_defense.core.config import to_plain
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.store.artifacts import Store

MODULE = "benchmarks.attacks"


def attacked_recipe(name: str, attack: str, assignments: Sequence[str]) -> Recipe:
    """Returns a recipe with another attack, and with a probe that keeps its epochs.

    Args:
        name: Of the recipe.
        attack: The name of the attack, which has its default parameters.
        assignments: Further KEY=VALUE.
    """
    recipe = named_recipe(name)
    probe = replace(recipe.probe, keep_epochs=True)
    recipe = replace(recipe, attack=ATTACKS[attack](), probe=probe)
    return changed_recipe(recipe, assignments)


def measure_attack(
    recipe: Recipe, store: Store, executor: Executor, *, strength_only: bool
) -> dict[str, Any]:
    """Returns all figures of one attack; the seconds do not hold what the store held already."""
    start = time.perf_counter()
    figures = measure_strength(recipe, store, executor)
    if not strength_only:
        figures["trace"] = measure_trace(recipe, store, executor)
    figures["wall_s"] = round(time.perf_counter() - start, 1)
    return figures


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("recipe")
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="default: all")
    parser.add_argument(
        "--store",
        default="store-attacks",
        help="kept: attacks share the surrogate, the encoder and the clean model",
    )
    add_executor_options(parser)
    parser.add_argument(
        "--tag", default="", help="-NAME, added to the names of the files, where --set is used"
    )
    parser.add_argument(
        "--strength-only", action="store_true", help="ACC and ASR, without the trace of the scores"
    )
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures attacks one after another; each has a file of its own."""
    options = command_parser().parse_args(arguments)
    store = Store(Path(options.store))
    with open_study(MODULE, arguments, options.results) as study:
        executor = make_executor(options.executor, options.backend)
        for attack in options.attack or ATTACKS:
            recipe = attacked_recipe(options.recipe, attack, options.set)
            measure = partial(
                measure_attack, recipe, store, executor, strength_only=options.strength_only
            )
            figures = {
                "attack": attack,
                "changed": ", ".join(options.set),
                "config": to_plain(recipe),
                "executor": options.executor,
                **study.measure(attack, measure),
            }
            study.store(f"{options.recipe}_{attack}{options.tag}_seed{recipe.seed}", figures)
        executor.close()


if __name__ == "__main__":
    main()
