"""An executor that starts when work reaches it, once, and forwards every call."""

from pathlib import Path
from typing import Any

import pytest

from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.protocols import Executor

CALLS = {
    "check_store": (Path("store"),),
    "ingest": ("an ingest job",),
    "train": (["jobs"],),
    "train_side_by_side": (["jobs"],),
    "run_blocks": ("a block job",),
    "map": (str, [1, 2]),
    "resources": (2,),
    "run_trials": ("a trials job",),
}


class RecordingExecutor:
    """Keeps the calls that it gets and answers each by the call's name."""

    name = "recording"

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        def record(*arguments: Any) -> str:
            self.calls.append((name, arguments))
            return f"answer of {name}"

        return record


class Start:
    """Starts an executor and counts how often."""

    def __init__(self) -> None:
        self.executor = RecordingExecutor()
        self.count = 0

    def __call__(self) -> Any:
        self.count += 1
        return self.executor


@pytest.fixture
def start() -> Start:
    return Start()


def test_an_executor_without_work_is_neither_started_nor_closed(start):
    executor = ExecutorOnDemand("ray", start)
    assert executor.name == "ray"
    executor.close()
    assert start.count == 0


def test_the_calls_are_all_those_of_an_executor():
    methods = {name for name in vars(Executor) if not name.startswith("_")}
    assert methods == {*CALLS, "close"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_starts_the_executor_and_reaches_it(start, name):
    executor = ExecutorOnDemand("ray", start)
    answer = getattr(executor, name)(*CALLS[name])
    assert start.count == 1
    assert start.executor.calls == [(name, CALLS[name])]
    if name in ("map", "resources"):
        assert answer == f"answer of {name}"


def test_an_executor_is_started_once_and_closed_at_the_end(start):
    executor = ExecutorOnDemand("ray", start)
    for name, arguments in CALLS.items():
        getattr(executor, name)(*arguments)
    executor.close()
    assert start.count == 1
    assert start.executor.calls == [*CALLS.items(), ("close", ())]
