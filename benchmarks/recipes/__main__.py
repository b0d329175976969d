"""A recipe as a user runs it, `ray-defense run`, in a fresh store: wall time and all numbers.

python -m benchmarks.recipes digits_badnets --seed 0
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.support import (
    ROOT,
    add_executor_options,
    add_set_option,
    open_study,
    portable_result,
    study_parser,
)
from ray_defense.reports.result import Result

MODULE = "benchmarks.recipes"


def measure_run(
    recipe: str, assignments: Sequence[str], executor: str, backend: str
) -> dict[str, Any]:
    """Returns the numbers of one run; the seconds hold the start of Python and of Ray.

    Args:
        recipe: The name of a recipe.
        assignments: KEY=VALUE, as --set takes them.
        executor: "ray" or "local".
        backend: Who reads the shards.
    """
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "ray_defense", "run", recipe, "--store", store]
        command += ["--executor", executor, "--backend", backend]
        for assignment in assignments:
            command += ["--set", assignment]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=ROOT)
        wall_s = time.perf_counter() - start
        plain = json.loads((Path(store) / "result.json").read_text())
    result = portable_result(Result.from_plain(plain))
    return {"wall_s": round(wall_s, 1), "executor": executor, "result": result}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("recipe")
    parser.add_argument("--seed", type=int, default=0, help="of the run and of the attacker")
    add_executor_options(parser)
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one recipe at one seed."""
    options = command_parser().parse_args(arguments)
    seed = options.seed
    assignments = [f"seed={seed}", f"poison.seed={seed}", *options.set]
    with open_study(MODULE, arguments, options.results) as study:
        figures = measure_run(options.recipe, assignments, options.executor, options.backend)
        study.store(f"{options.recipe}_seed{seed}", figures)


if __name__ == "__main__":
    main()
