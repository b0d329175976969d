"""Cost of a sweep: the 36 pairs of transforms as trials, over the probe and the 37 passes that they need, measured alone.

python benchmarks/sweeping.py digits_badnets
"""

import argparse
import tempfile
import time
from typing import Any

import pyarrow.parquet as pq
from machine import record

from ray_defense.cluster import RayExecutor
from ray_defense.core.config import override
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.recipes import SWEEPS
from ray_defense.pipeline.recipes import recipe as named
from ray_defense.stages import detect as score
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Store
from ray_defense.sweeps import sweep
from ray_defense.sweeps.grid import grid, parse_axis


def measure(recipe: str) -> dict[str, Any]:
    """Returns the figures; Ray is up before, the dataset is made anew on the sweep's side only."""
    base = named(recipe)
    for path, value in SWEEPS["transforms"].changes:
        base = override(base, path, value)
    trials = grid(base, [parse_axis(text) for text in SWEEPS["transforms"].axes])
    executor = RayExecutor()
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Store(folder), executor, base.seed, base.normalization)
        suspect, probe = pipeline.make_suspect(base, context), pipeline.plan(base, context).probe
        start = time.perf_counter()
        train_missing(context, [probe])
        probe_s = time.perf_counter() - start
        ways = [trial.recipe.score for trial in trials]
        score.run_ways(ways, suspect, probe.artifact, base.probe.model, context)
        alone_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = sweep.run(base, trials, Store(folder), executor)
        sweep_s = time.perf_counter() - start
        rows = pq.read_table(made.path / "table.parquet").to_pylist()
    executor.close()
    figures = {"recipe": recipe, "trials": len(trials), "probe_s": probe_s, "probe_and_passes_s": alone_s, "sweep_s": sweep_s}
    found = ("score.tau", "auroc", "trusted_precision", "poisoned_precision")
    kept = [{name: row[name] for name in found} for row in rows]
    return figures | {"ratio": round(sweep_s / alone_s, 3), "rows": kept}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    arguments = parser.parse_args()
    print(record(f"sweep_{arguments.recipe}", measure(arguments.recipe)))
