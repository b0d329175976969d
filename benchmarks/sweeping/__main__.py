"""A sweep over the 36 pairs of transforms, against the probe and the 37 passes that it needs.

python -m benchmarks.sweeping digits_badnets
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from benchmarks.support import (
    add_executor_options,
    add_set_option,
    changed_recipe,
    open_study,
    study_parser,
)
from ray_defense.api import make_executor
from ray_defense.core.config import override
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.grid import Trial, grid_trials, parse_axis
from ray_defense.sweeps.sweep import run_sweep, table_path

MODULE = "benchmarks.sweeping"
_COLUMNS = ("detect.fct.tau", "auroc", "trusted_precision", "flagged_precision")


def pair_trials(recipe: Recipe, axes: Sequence[str]) -> tuple[Recipe, list[Trial]]:
    """Returns the base recipe of the sweep, which only scores, and its trials.

    Args:
        recipe: The recipe that is swept.
        axes: As `sweeps.grid.parse_axis` reads them.
    """
    for path, value in PAPER_SWEEPS["transforms"].changes:
        recipe = override(recipe, path, value)
    return recipe, grid_trials(recipe, list(map(parse_axis, axes)))


def measure_sweep(base: Recipe, trials: Sequence[Trial], executor: Executor) -> dict[str, Any]:
    """Returns the figures; only the seconds of the sweep hold the making of the dataset."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        plan = plan_recipe(base, store)
        make_steps([plan.dataset.step], store, executor)
        start = time.perf_counter()
        make_steps([plan.probe], store, executor)
        probe_s = time.perf_counter() - start
        evidence = [plan_recipe(trial.recipe, store).evidence for trial in trials]
        make_steps(evidence, store, executor)
        alone_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        sweep = run_sweep(base, trials, Store(folder), executor=executor)
        sweep_s = time.perf_counter() - start
        rows = pq.read_table(table_path(sweep)).to_pylist()
    kept_rows = []
    for row in rows:
        kept_rows.append({name: row[name] for name in _COLUMNS})
    return {
        "recipe": base.name,
        "num_trials": len(trials),
        "probe_s": probe_s,
        "probe_and_passes_s": alone_s,
        "sweep_s": sweep_s,
        "ratio": round(sweep_s / alone_s, 3),
        "rows": kept_rows,
    }


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("recipe")
    add_executor_options(parser)
    parser.add_argument(
        "--grid",
        action="append",
        metavar="PATH=VALUE,VALUE",
        help="pairs other than all 36: 'detect.fct.tau=flip,crop;crop,flip'",
    )
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the sweep over one recipe; the executor is started before."""
    options = command_parser().parse_args(arguments)
    recipe = changed_recipe(named_recipe(options.recipe), options.set)
    base, trials = pair_trials(recipe, options.grid or PAPER_SWEEPS["transforms"].axes)
    with open_study(MODULE, arguments, options.results) as study:
        executor = make_executor(options.executor, options.backend)
        figures = measure_sweep(base, trials, executor)
        executor.close()
        study.store(options.recipe, figures)


if __name__ == "__main__":
    main()
