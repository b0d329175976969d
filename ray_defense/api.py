"""The library's front door: one call runs a recipe and returns its numbers."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ray_defense.attacks import Attack
from ray_defense.core.errors import unknown
from ray_defense.core.local import LocalExecutor
from ray_defense.core.seams import Backend, Executor
from ray_defense.core.store import Store, write_json
from ray_defense.recipes import recipe
from ray_defense.stages import attack_check, pipeline
from ray_defense.stages import preview as preview_stage
from ray_defense.stages import sweep as sweep_stage
from ray_defense.stages.attack_check import Checked
from ray_defense.stages.pipeline import Recipe
from ray_defense.stages.result import Result
from ray_defense.stages.sweep import Overview, Trial

EXECUTORS = ("local", "ray")


def make_executor(name: str, backend: Backend = "auto") -> Executor:
    """Returns the executor called `name` ("local" or "ray"); Ray is imported only for the second."""
    if name == "local":
        return LocalExecutor(backend)
    if name == "ray":
        from ray_defense.cluster import RayExecutor

        return RayExecutor(backend)
    raise unknown("executor", name, EXECUTORS)


def run(
    recipe_or_config: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
) -> Result:
    """Runs a recipe (its name, or a configuration), doing only what `store` does not hold yet, and returns the numbers.

    They are also written to `result.json` in the store.
    `backend` says who reads the shards: "ffcv", "numpy", or "auto" (FFCV where it is installed); the results are the same.
    Raises Refused for a request or input that cannot be worked on, Failed for work that could not be finished.
    """
    config = recipe(recipe_or_config) if isinstance(recipe_or_config, str) else recipe_or_config
    place = Store(store)
    pipeline.check(config)  # before Ray is started
    with _started(executor, backend) as own:
        result = pipeline.run(config, place, own)
    write_json(place.root / "result.json", result)
    return result


def preview(
    config: Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
) -> bytes:
    """Returns a contact sheet of the attack of `config`, a PNG; Ray is started only for an attack that needs a network.

    Raises as `run`.
    """
    trains = config.attack is not None and config.attack.needs not in (None, "picture")
    place = Store(store)
    with _started(executor if trains else "local", backend) as own:
        return preview_stage.run(config, place, own)


def check(
    config: Recipe,
    attacks: Sequence[Attack],
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
) -> tuple[Checked, ...]:
    """Returns for each attack the ACC and ASR of a model trained on what it poisoned, all else as in `config`; raises as `run`.

    An attack that is refused says why in its row.
    """
    place = Store(store)
    config = attack_check.bare(config)  # before Ray is started
    with _started(executor, backend) as own:
        return attack_check.run(config, attacks, place, own)


def plan_sweep(trials: Sequence[Trial], *, store: str | Path) -> Overview:
    """Returns what a sweep would make and what `store` holds; makes nothing. Raises Refused for a trial that could not run."""
    return sweep_stage.overview(sweep_stage.plan(trials, Store(store), LocalExecutor()))


def sweep(
    base: Recipe,
    trials: Sequence[Trial],
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "ray",
    backend: Backend = "auto",
) -> Path:
    """Runs the trials (see `stages.sweep.grid`) and returns the folder of `table.parquet` and `sweep.html`; raises as `run`.

    A trial that fails leaves the others alone; Failed is raised at the end, and the same call runs those that failed.
    """
    place = Store(store)
    with _started(executor, backend) as own:
        return sweep_stage.run(base, trials, place, own).path


@contextlib.contextmanager
def _started(executor: str | Executor, backend: Backend) -> Iterator[Executor]:
    """Gives an executor to the body, and closes it if it was only named."""
    if not isinstance(executor, str):
        yield executor
        return
    own = make_executor(executor, backend)
    try:
        yield own
    finally:
        own.close()
