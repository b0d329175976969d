"""D-BR and D-ST with two splits of one attacked dataset: ACC, ASR and the true labels.

    python -m benchmarks.defenses --attack sig --seed 0 --executor local

One recipe splits as the paper does, the other by the chosen detectors. They share a store, so the
dataset is poisoned once and the backdoored model trained once. Each recipe leaves a file of its own
as soon as it has run.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.detection.__main__ import cell_recipe
from benchmarks.support import (
    add_executor_options,
    add_set_option,
    changed_recipe,
    open_study,
    portable_result,
    study_parser,
)
from ray_defense.api import make_executor
from ray_defense.attacks import ATTACKS
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.run import result_of, run_plan
from ray_defense.store.artifacts import Store

MODULE = "benchmarks.defenses"
PAPER = "cifar10_badnets_small"
CHOSEN = "cifar10_badnets_robust"
RATE = 0.1  # poisoned samples among the eligible ones


def measure_defenses(recipe: Recipe, store: Store, executor: Executor) -> dict[str, Any]:
    """Returns the numbers of a whole run, of every model it trains.

    Args:
        recipe: Names the data, the attack, the split and the defenses.
        store: Where the artifacts are kept.
        executor: Who does the work.
    """
    plan = run_plan(plan_recipe(recipe, store), executor)
    return portable_result(result_of(plan))


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--attack", choices=list(ATTACKS), required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the run and of the attacker")
    parser.add_argument(
        "--recipe", action="append", default=[], help=f"repeatable (default: {PAPER}, {CHOSEN})"
    )
    parser.add_argument("--store", type=Path, default=Path("store-defenses"))
    add_executor_options(parser)
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one attack with each recipe."""
    options = command_parser().parse_args(arguments)
    store = Store(options.store)
    executor = make_executor(options.executor, options.backend)
    try:
        with open_study(MODULE, arguments, options.results) as study:
            for name in options.recipe or (PAPER, CHOSEN):
                base = changed_recipe(named_recipe(name), options.set)
                recipe = cell_recipe(base, options.attack, RATE, options.seed)
                measure = partial(measure_defenses, recipe, store, executor)
                figures = {
                    "attack": options.attack,
                    "rate": RATE,
                    "set": options.set,
                    "executor": options.executor,
                    "result": study.measure(name, measure),
                }
                study.store(f"{name}_{options.attack}_seed{options.seed}", figures)
    finally:
        executor.close()


if __name__ == "__main__":
    main()
