"""The library's front door: one call runs a recipe and returns its numbers."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ray_defense.attacks import Attack
from ray_defense.core.errors import Refused, unknown
from ray_defense.core.files import json_bytes
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.execution.protocols import Backend, Executor
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import recipe
from ray_defense.reports.result import Defended, Result
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.studies import attack_preview as preview_stage
from ray_defense.studies import attack_strength as attack_check
from ray_defense.studies import throughput as benchmark_stage
from ray_defense.studies.attack_strength import Checked
from ray_defense.studies.throughput import Throughput
from ray_defense.sweeps import sweep as sweep_stage
from ray_defense.sweeps.grid import Trial
from ray_defense.sweeps.sweep import Overview, Way

EXECUTORS = ("local", "ray")


def make_executor(name: str, backend: Backend = "auto", placement: Placement = ANYWHERE) -> Executor:
    """Returns the executor called `name` ("local" or "ray"); Ray is imported only for the second."""
    if name == "local":
        return LocalExecutor(backend)
    if name == "ray":
        from ray_defense.cluster import RayExecutor

        return RayExecutor(backend, placement)
    raise unknown("executor", name, EXECUTORS)


def run(
    recipe_or_config: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> Result:
    """Runs a recipe (its name, or a configuration), doing only what `store` does not hold yet, and returns the numbers.

    They are also written to `result.json` in the store, which is a directory, or a URI that pyarrow takes (s3://bucket/prefix).
    `backend` says who reads the shards: "ffcv", "numpy", or "auto" (FFCV where it is installed), `placement` how Ray spreads
    the work; the results are the same.
    Raises Refused for a request or input that cannot be worked on, Failed for work that could not be finished.
    """
    config = recipe(recipe_or_config) if isinstance(recipe_or_config, str) else recipe_or_config
    place = Store(store)
    pipeline.check(config)  # before Ray is started
    with _started(executor, backend, placement, place) as own:
        result = pipeline.run(config, place, own)
    place.keep("result.json", json_bytes(result))
    return result


def defend(
    config: Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> Defended:
    """Makes the split and the defended models of a recipe that `store` does not hold yet; never looks at truth or test images.

    Raises as `run`.
    """
    place = Store(store)
    pipeline.check(config)  # before Ray is started
    with _started(executor, backend, placement, place) as own:
        return pipeline.run_defended(config, place, own)


def report(config: Recipe, *, store: str | Path) -> Result:
    """Writes the report and `result.json` of a run that `store` holds, and returns its numbers; computes nothing else.

    Raises Refused naming the first stage that is not there.
    """
    place, here = Store(store), LocalExecutor()
    stages = pipeline.plan(config, Context(place, here, config.seed, config.normalization)).stages
    held = place.held(stages.values())
    for name, artifact in stages.items():
        if artifact.key not in held:
            raise Refused(
                f"the store {place} does not hold the {name} of this {config.name}: make what is missing with "
                f"ray-defense run {config.name} and the same options"
            )
    return run(config, store=store, executor=here)


def benchmark(
    config: Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    repeats: int = 3,
) -> Throughput:
    """Returns how fast ingest, probe and scoring of a recipe run, each `repeats` times from the start; raises as `run`.

    It is also written to `benchmark.json` in the store, below which everything is made and removed again.
    """
    place = Store(store)
    pipeline.check(config)  # before Ray is started
    with _started(executor, backend, placement, place) as own:
        found = benchmark_stage.run(config, place, own, repeats)
    place.keep("benchmark.json", json_bytes(found))
    return found


def preview(
    config: Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> bytes:
    """Returns a contact sheet of the attack of `config`, a PNG; Ray is started only for an attack that needs a network.

    Raises as `run`.
    """
    trains = config.attack is not None and config.attack.needs not in (None, "picture")
    place = Store(store)
    with _started(executor if trains else "local", backend, placement, place) as own:
        return preview_stage.run(config, place, own)


def check(
    config: Recipe,
    attacks: Sequence[Attack],
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> tuple[Checked, ...]:
    """Returns for each attack the ACC and ASR of a model trained on what it poisoned, all else as in `config`; raises as `run`.

    An attack that is refused says why in its row.
    """
    place = Store(store)
    config = attack_check.bare(config)  # before Ray is started
    with _started(executor, backend, placement, place) as own:
        return attack_check.run(config, attacks, place, own)


def plan_sweep(trials: Sequence[Trial], *, store: str | Path, executor: str = "ray", way: Way = None) -> Overview:
    """Returns what a sweep of all `trials` would make and what `store` holds; makes nothing.

    Raises Refused for a trial that could not run, and for what an executor of that name cannot go through in that `way`.
    """
    sweep_stage.check(trials, way, executor)
    place = Store(store)
    return sweep_stage.overview(sweep_stage.plan(trials, place, LocalExecutor()), place)


def sweep(
    base: Recipe,
    trials: Sequence[Trial],
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "ray",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    way: Way = None,
) -> Path:
    """Runs the trials (see `stages.trials.grid`) and returns the folder of `table.parquet` and `sweep.html`; raises as `run`.

    `way` is a `stages.search.Search` or a `stages.halving.Halving`, or None to run all. A trial that fails leaves the others
    alone; Failed is raised at the end, and the same call runs those that failed.
    """
    place = Store(store)
    with _started(executor, backend, placement, place) as own:
        return sweep_stage.run(base, trials, place, own, way).path


def check_unfinished(base: Recipe, trials: Sequence[Trial], *, store: str | Path, way: Way = None) -> None:
    """Raises Refused where `store` holds nothing of this sweep that could be resumed."""
    sweep_stage.check_unfinished(base, trials, Store(store), way)


@contextlib.contextmanager
def _started(executor: str | Executor, backend: Backend, placement: Placement, store: Store) -> Iterator[Executor]:
    """Gives to the body an executor whose nodes see `store`, and closes it if it was only named."""
    store.check_writable()  # before Ray is started
    own = make_executor(executor, backend, placement) if isinstance(executor, str) else executor
    try:
        own.check_store(store.root)
        yield own
    finally:
        if own is not executor:
            own.close()
