"""The measurement of Ray's cost changes nothing of what it measures, and loses no second."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_cost.measure import check_same_files, compare_sides, measure_side
from benchmarks.ray_cost.timed_executor import CallTimes, TimedExecutor
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.store.artifacts import Store
from tests.support import tiny
from tests.support.faults import store_hashes

CALLS = [
    "ingest",
    "train_side_by_side probe, backdoored",
    "run_blocks evidence",
    "train d_br, d_st",
    "map",
]


@pytest.fixture(scope="module")
def measured(digits: Path) -> dict[str, Any]:
    return measure_side("local", tiny.recipe(digits), "numpy")


def test_a_measured_run_makes_the_files_of_any_other(
    measured: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    run_plan(plan_recipe(tiny.recipe(digits), Store(tmp_path)), LocalExecutor("numpy"))
    plain = {}
    for location, files in store_hashes(tmp_path).items():
        plain[location.split("/")[0]] = files
    assert set(plain) >= set(tiny.STAGES)
    assert measured["files"] == plain


def test_every_call_is_noted_with_all_of_its_seconds(measured: dict[str, Any]) -> None:
    assert [call["call"] for call in measured["calls"]] == CALLS
    parts = []
    for call in measured["calls"]:
        for name in ("startup_s", "work_s", "teardown_s"):
            parts.append(call[name])
    assert min(parts) >= 0
    assert sum(parts) <= measured["wall_s"]
    # Nothing is started in one process.
    assert measured["startup_s"] < 0.25 * measured["wall_s"]
    apart = measured["ray_start_s"] + measured["startup_s"] + measured["rest_s"]
    assert apart == pytest.approx(measured["wall_s"], abs=0.01)


class FakeClock:
    """A clock that moves when it is asked to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        """Moves the clock."""
        self.now_s += seconds


def test_start_up_ends_where_the_first_unit_begins(tmp_path: Path) -> None:
    clock = FakeClock()

    class SlowExecutor(LocalExecutor):
        def map(self, function: Any, items: Any) -> list[Any]:
            clock.wait(2)
            outputs = super().map(function, items)
            clock.wait(1)
            return outputs

    def work(seconds: int) -> int:
        clock.wait(seconds)
        return seconds

    executor = TimedExecutor(SlowExecutor(), tmp_path, clock)
    assert executor.map(work, [3, 4]) == [3, 4]
    expected = CallTimes("map", num_processes=1, startup_s=2, work_s=7, teardown_s=1)
    assert executor.calls == [expected]


def test_other_files_on_one_side_are_no_cost_at_all() -> None:
    pair = {
        "local": {"files": {"split": {"split.parquet": "a"}}},
        "ray": {"files": {"split": {"split.parquet": "b"}}},
    }
    with pytest.raises(SystemExit, match="ray made other split"):
        check_same_files([pair])


def test_sides_take_turns_and_the_ratio_is_the_median_of_the_pairs(digits: Path) -> None:
    order: list[str] = []
    ray_seconds = iter((12.0, 11.0, 20.0))

    def measure(side: str, recipe: Recipe) -> dict[str, Any]:
        order.append(side)
        seconds = 10.0 if side == "local" else next(ray_seconds)
        return {"rest_s": seconds, "wall_s": 2 * seconds, "files": {"split": {}}}

    figures = compare_sides(tiny.recipe(digits), 3, measure=measure)
    assert order == ["local", "ray", "ray", "local", "local", "ray"]
    assert figures["rest_ratios"] == [1.2, 1.1, 2.0]
    assert figures["wall_ratios"] == [1.2, 1.1, 2.0]
    assert figures["rest_ratio_median"] == 1.2
    assert figures["identical_artifacts"] == ["split"]
    assert "files" not in figures["pairs"][0]["ray"]
