"""Ray's cost: a recipe with Ray over the same one in a single process, start-up of Ray and of its processes apart.

    python benchmarks/ray_cost.py digits_badnets [--repeats 3]

Sides run in turn, each in a process and a store of its own, `backend` auto. Every call of the executor has a start-up, from
the call until its first unit of work begins: a training program, a block of scores (reader and model are open by then),
a range of the source, a mapped function. The rest is what counts: work, gaps, tear-down, closing.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from machine import record

from ray_defense.cluster import RayExecutor  # isort: skip  (before ray: it sets what ray reads when it is imported)
import ray  # isort: skip
from ray_defense.core.config import override
from ray_defense.core.files import read_json
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import BlockJob, Executor, IngestJob, TrainJob
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import recipe as named
from ray_defense.store.artifacts import Store

SIDES: dict[str, Callable[[], Executor]] = {"local": LocalExecutor, "ray": RayExecutor}


def marked(function: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """Returns `function` that leaves when it began and ended, in seconds since the epoch, in a file of its process."""

    def run(*arguments: Any) -> Any:
        with open(folder / str(os.getpid()), "a") as file:
            file.write(f"{time.time()}\n")
            try:
                return function(*arguments)
            finally:
                file.write(f"{time.time()}\n")

    return run


class Marking:
    """An executor that does what another does and notes, of every call, when it came, began to work, ended and returned."""

    def __init__(self, inner: Executor, folder: Path):
        self.name, self._inner, self._folder, self.calls = inner.name, inner, folder, []

    def ingest(self, job: IngestJob) -> None:
        def call(folder: Path) -> None:
            self._inner.ingest(replace(job, read=marked(job.read, folder), write=marked(job.write, folder)))

        self._note("ingest", call)

    def train(self, jobs: Sequence[TrainJob]) -> None:
        def call(folder: Path) -> None:
            self._inner.train([replace(job, program=marked(job.program, folder)) for job in jobs])

        self._note("train " + ", ".join(job.artifact.stage for job in jobs), call)

    def score(self, job: BlockJob) -> None:
        def call(folder: Path) -> None:
            self._inner.score(replace(job, build=lambda *arguments: marked(job.build(*arguments), folder)))

        self._note("score", call)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return self._note("map", lambda folder: self._inner.map(marked(function, folder), items))

    def _note(self, name: str, call: Callable[[Path], Any]) -> Any:
        folder = self._folder / str(len(self.calls))
        folder.mkdir()
        start = time.time()
        found = call(folder)
        end = time.time()
        times = [float(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
        seconds = {"startup_s": min(times) - start, "work_s": max(times) - min(times), "teardown_s": end - max(times)}
        processes = len(list(folder.iterdir()))
        self.calls.append({"call": name, "processes": processes} | {key: round(one, 3) for key, one in seconds.items()})
        return found


def measure(side: str, recipe: Recipe) -> dict[str, Any]:
    """Returns the seconds of one side and the content hashes of all it made but the report."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a script
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks"
        marks.mkdir()
        start = time.time()
        inner = SIDES[side]()
        ray_start_s = time.time() - start
        executor = Marking(inner, marks)
        result = pipeline.run(recipe, Store(Path(folder) / "store"), executor)
        closing = time.time()
        inner.close()
        end = time.time()
        made = {name: read_json(Path(path) / "config.json")["files"] for name, path in result.artifacts.items()}
    made.pop("report")  # it shows how long stages took
    startup_s = sum(call["startup_s"] for call in executor.calls)
    seconds = {
        "wall_s": end - start,
        "ray_start_s": ray_start_s,
        "startup_s": startup_s,
        "rest_s": end - start - ray_start_s - startup_s,
        "close_s": end - closing,
    }
    return {name: round(one, 3) for name, one in seconds.items()} | {"calls": executor.calls, "files": made}


def check_same(pairs: Sequence[dict[str, dict[str, Any]]]) -> list[str]:
    """Returns the names of what all runs made alike; ends the script where a file differs."""
    first = pairs[0]["local"]["files"]
    for side, found in (one for pair in pairs for one in pair.items()):
        if differing := [name for name in first if found["files"][name] != first[name]]:
            sys.exit(f"{side} made other {', '.join(differing)} than the first local run: no cost is recorded")
    return sorted(first)


def compare(recipe: Recipe, repeats: int) -> dict[str, Any]:
    """Returns the seconds of both sides, pair by pair; ends the script where they did not make the same files."""
    pairs = []
    for number in range(repeats):
        pair = {}
        for side in list(SIDES)[:: -1 if number % 2 else 1]:  # what the machine does besides falls on both alike
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:  # equal imports, no warm caches
                pair[side] = fresh.submit(measure, side, recipe).result()
            print(side, {name: one for name, one in pair[side].items() if name != "files"}, file=sys.stderr, flush=True)
        pairs.append(pair)
    same = check_same(pairs)
    for found in (one for pair in pairs for one in pair.values()):
        del found["files"]
    ratios = {name: [round(pair["ray"][name] / pair["local"][name], 3) for pair in pairs] for name in ("rest_s", "wall_s")}
    return {
        "recipe": recipe.name,
        "identical_artifacts": same,
        "rest_ratio_median": median(ratios["rest_s"]),
        "rest_ratios": ratios["rest_s"],
        "wall_ratio_median": median(ratios["wall_s"]),
        "wall_ratios": ratios["wall_s"],
        "pairs": pairs,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tag", default="", help="-NAME, added to the result's name: for settings other than the recipe's")
    arguments = parser.parse_args()
    base = named(arguments.recipe)
    for assignment in arguments.set:
        base = override(base, *assignment.split("=", 1))
    figures = compare(base, arguments.repeats) | {"changed": ", ".join(arguments.set)}
    print(record(f"ray_cost_{arguments.recipe}{arguments.tag}", figures))
