"""Every executor defines each method of the protocol with the same parameters and defaults."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from ray_defense.cluster.session import prepare_environment
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.protocols import Executor

METHODS = {
    "check_store",
    "ingest",
    "train",
    "train_side_by_side",
    "run_blocks",
    "map",
    "resources",
    "run_trials",
    "close",
}


def ray_executor() -> type:
    prepare_environment()
    from ray_defense.cluster.executor import RayExecutor

    return RayExecutor


def public_methods(kind: type) -> dict[str, Callable[..., Any]]:
    """Returns the methods that a class itself defines and that may be called from outside."""
    methods: dict[str, Callable[..., Any]] = {}
    for name, value in vars(kind).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            methods[name] = value
    return methods


def parameters_of(method: Callable[..., Any]) -> list[tuple[str, object, object]]:
    """Returns the names, kinds and defaults of a method's parameters."""
    parameters: list[tuple[str, object, object]] = []
    for name, parameter in inspect.signature(method).parameters.items():
        parameters.append((name, parameter.kind, parameter.default))
    return parameters


def test_the_protocol_has_the_methods_that_stages_call() -> None:
    assert set(public_methods(Executor)) == METHODS


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize(
    "executor",
    [lambda: LocalExecutor, lambda: ExecutorOnDemand, ray_executor],
    ids=["local", "on demand", "ray"],
)
def test_an_executor_defines_the_method_of_the_protocol(
    executor: Callable[[], type], name: str
) -> None:
    methods = public_methods(executor())
    assert parameters_of(methods[name]) == parameters_of(public_methods(Executor)[name])


def test_the_local_and_the_ray_executor_have_no_other_public_method() -> None:
    assert set(public_methods(LocalExecutor)) == METHODS
    assert set(public_methods(ray_executor())) == METHODS
