"""What an audit says of images without a backdoor: its verdict, set by set.

    python -m benchmarks.clean_sets --data DIR --store DIR

DIR holds cifar10-train.parquet and tinyimagenet-train.parquet. The recipe is the one that
`ray-defense audit` chooses for the set. Each set leaves a file of its own.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clean_sets.sets import CleanSet, clean_sets
from benchmarks.detection.measure import measure_detection
from benchmarks.support import (
    add_executor_options,
    add_set_option,
    changed_recipe,
    open_study,
    study_parser,
)
from ray_defense.api import make_executor
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.audit_recipe import AuditSettings, plan_audit
from ray_defense.store.artifacts import Store

MODULE = "benchmarks.clean_sets"
_SIDES = {"cifar10": 32, "tinyimagenet": 64, "digits": None}


def measure_set(
    clean_set: CleanSet, data: Path, assignments: Sequence[str], store: Store, executor: Executor
) -> dict[str, Any]:
    """Returns the verdict on a set, what is wrongly flagged, and the seconds of each step."""
    source = clean_set.make_source(data, store.root / "sets" / clean_set.name)
    labels = source.labels("train")
    plan = plan_audit(source, len(labels), _SIDES[clean_set.kind], AuditSettings())
    recipe = changed_recipe(plan.recipe, assignments)
    figures = measure_detection(recipe, store, executor)
    return {"num_classes": len(np.unique(labels)), **figures}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=Path("store-clean-sets"))
    parser.add_argument(
        "--part", default="0/1", metavar="K/N", help="every N-th set, from set K on (default: 0/1)"
    )
    parser.add_argument("--name", default="", help="of a folder of results below clean_sets")
    add_executor_options(parser)
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the sets."""
    options = command_parser().parse_args(arguments)
    first, step = map(int, options.part.split("/"))
    store = Store(options.store)
    executor = make_executor(options.executor, options.backend)
    try:
        with open_study(MODULE, arguments, options.results) as study:
            for clean_set in clean_sets()[first::step]:
                measure = partial(
                    measure_set, clean_set, options.data.resolve(), options.set, store, executor
                )
                figures = study.measure(clean_set.name, measure)
                name = str(Path(options.name, clean_set.name))
                study.store(name, {"set": options.set, **figures})
    finally:
        executor.close()


if __name__ == "__main__":
    main()
