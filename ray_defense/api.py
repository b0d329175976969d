"""The library's front door: one call runs a recipe and returns its numbers."""

from pathlib import Path
from typing import Literal

from ray_defense.core.errors import unknown
from ray_defense.core.local import LocalExecutor
from ray_defense.core.seams import Backend, Executor
from ray_defense.core.store import Store
from ray_defense.recipes import recipe
from ray_defense.stages import pipeline
from ray_defense.stages.pipeline import Recipe
from ray_defense.stages.result import Result

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

    `backend` says who reads the shards: "ffcv", "numpy", or "auto" (FFCV where it is installed); the results are the same.
    Raises Refused for a request or input that cannot be worked on, Failed for work that could not be finished.
    """
    config = recipe(recipe_or_config) if isinstance(recipe_or_config, str) else recipe_or_config
    place = Store(store)
    pipeline.check(config)  # before Ray is started
    if not isinstance(executor, str):
        return pipeline.run(config, place, executor)
    own = make_executor(executor, backend)
    try:
        return pipeline.run(config, place, own)
    finally:
        own.close()
