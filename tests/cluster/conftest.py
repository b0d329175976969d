"""What the tests of the Ray side share: one Ray of this machine, and one whole run on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ray_defense
import tests
from ray_defense.cluster.session import start_executor
from ray_defense.pipeline.plan import Plan, plan_recipe
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import Store
from tests.support import tiny


@pytest.fixture(scope="package")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 256 training and 64 test digits, as Parquet."""
    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    return folder


@pytest.fixture(scope="package")
def local_ray() -> Iterator[Any]:
    """The module `ray`, connected to a Ray of this machine."""
    executor = start_executor("numpy")
    import ray

    # Workers need not be able to import the tests.
    ray.cloudpickle.register_pickle_by_value(tests)
    yield ray
    ray.cloudpickle.unregister_pickle_by_value(tests)
    executor.close()


@pytest.fixture(scope="package")
def ray_run(local_ray: Any, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The whole path of the tiny recipe on Ray."""
    store = tmp_path_factory.mktemp("ray")
    return ray_defense.run(tiny.recipe(digits), store=store, executor="ray", backend="auto")


@pytest.fixture(scope="package")
def ray_plan(ray_run: Result, digits: Path) -> Plan:
    """The plan of `ray_run`, all of whose artifacts are finished."""
    store = Store(Path(ray_run.artifacts["probe"]).parents[1])
    return plan_recipe(tiny.recipe(digits), store)
