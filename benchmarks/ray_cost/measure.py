"""A recipe on either side, Ray or one process, timed; and the two compared pair by pair."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ray_cost.timed_executor import TimedExecutor
from benchmarks.support import run_in_fresh_process
from ray_defense.api import make_executor
from ray_defense.core.files import read_json
from ray_defense.execution.protocols import Backend
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import result_of, run_plan
from ray_defense.store.artifacts import Store
from ray_defense.store.record import RECORD

SIDES = ("local", "ray")
SideFigures = dict[str, Any]
MeasureSide = Callable[[str, Recipe], SideFigures]
KeepMeasurement = Callable[[str, Callable[[], Any]], Any]


def measure_side(side: str, recipe: Recipe, backend: Backend = "auto") -> SideFigures:
    """Returns the seconds of one side, and the hashes of all files it made but the report.

    Args:
        side: One of SIDES.
        recipe: What is run, in a store of its own.
        backend: Who reads the shards.
    """
    with tempfile.TemporaryDirectory() as folder:
        times_folder = Path(folder) / "times"
        times_folder.mkdir()
        start = time.time()
        inner = make_executor(side, backend)
        ray_start_s = time.time() - start
        executor = TimedExecutor(inner, times_folder)
        plan = run_plan(plan_recipe(recipe, Store(Path(folder) / "store")), executor)
        closing = time.time()
        inner.close()
        end = time.time()
        files = {}
        for name, path in result_of(plan).artifacts.items():
            files[name] = read_json(Path(path) / RECORD)["files"]
    files.pop("report")  # it shows how long stages took
    startup_s = sum(call.startup_s for call in executor.calls)
    return {
        "wall_s": round(end - start, 3),
        "ray_start_s": round(ray_start_s, 3),
        "startup_s": round(startup_s, 3),
        "rest_s": round(end - start - ray_start_s - startup_s, 3),
        "close_s": round(end - closing, 3),
        "calls": [asdict(call) for call in executor.calls],
        "files": files,
    }


def check_same_files(pairs: Sequence[Mapping[str, SideFigures]]) -> list[str]:
    """Returns the names of what all runs made alike.

    Raises:
        SystemExit: Where a file differs from that of the first local run.
    """
    first = pairs[0]["local"]["files"]
    for pair in pairs:
        for side, figures in pair.items():
            differing = []
            for name in first:
                if figures["files"][name] != first[name]:
                    differing.append(name)
            if differing:
                raise SystemExit(
                    f"{side} made other {', '.join(differing)} than the first local run: "
                    "no cost is recorded"
                )
    return sorted(first)


def measure_side_afresh(side: str, recipe: Recipe) -> SideFigures:
    """Returns what `measure_side` does in a fresh process, so that imports cost the same."""
    return run_in_fresh_process(measure_side, side, recipe)


def measure_at_once(key: str, function: Callable[[], Any]) -> Any:
    """Returns a measurement without keeping it."""
    return function()


def compare_sides(
    recipe: Recipe,
    num_repeats: int,
    keep: KeepMeasurement = measure_at_once,
    measure: MeasureSide = measure_side_afresh,
) -> dict[str, Any]:
    """Returns the seconds of both sides, pair by pair.

    The sides take turns, and every other pair is turned round, so that what the machine does
    besides falls on both alike.

    Args:
        recipe: What is run.
        num_repeats: How many pairs.
        keep: Measures, or returns what an interrupted study kept (`StudyRun.measure`).
        measure: Measures one side.

    Raises:
        SystemExit: Where the sides did not make the same files.
    """
    pairs = []
    for number in range(num_repeats):
        order = SIDES if number % 2 == 0 else SIDES[::-1]
        pair = {}
        for side in order:
            pair[side] = keep(f"pair {number + 1}, {side}", partial(measure, side, recipe))
        pairs.append(pair)
    same = check_same_files(pairs)
    for pair in pairs:
        for figures in pair.values():
            del figures["files"]
    rest_ratios = _ratios(pairs, "rest_s")
    wall_ratios = _ratios(pairs, "wall_s")
    return {
        "recipe": recipe.name,
        "identical_artifacts": same,
        "rest_ratio_median": median(rest_ratios),
        "rest_ratios": rest_ratios,
        "wall_ratio_median": median(wall_ratios),
        "wall_ratios": wall_ratios,
        "pairs": pairs,
    }


def _ratios(pairs: Sequence[Mapping[str, SideFigures]], name: str) -> list[float]:
    return [round(pair["ray"][name] / pair["local"][name], 3) for pair in pairs]
