"""What measures Ray's cost changes nothing of what it measures, and loses no second."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from test_path import hashes

import ray_defense
from ray_defense.execution.local import LocalExecutor

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
CALLS = ["ingest", "train probe, backdoored", "score", "train d_br, d_st", "map"]


@pytest.fixture(scope="module")
def ray_cost():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("ray_cost")


@pytest.fixture(scope="module")
def found(ray_cost, digits):
    return ray_cost.measure("local", tiny.recipe(digits))


def test_a_measured_run_makes_the_files_of_any_other(found, digits, tmp_path):
    plain = hashes(ray_defense.run(tiny.recipe(digits), store=tmp_path, executor=LocalExecutor()))
    assert {name: found["files"][name] for name in plain} == plain


def test_every_call_is_noted_with_all_of_its_seconds(found):
    assert [call["call"] for call in found["calls"]] == CALLS
    parts = [call[name] for call in found["calls"] for name in ("startup_s", "work_s", "teardown_s")]
    assert min(parts) >= 0 and sum(parts) <= found["wall_s"]
    assert found["startup_s"] < 0.25 * found["wall_s"]  # nothing is started in one process
    apart = found["ray_start_s"] + found["startup_s"] + found["rest_s"]
    assert apart == pytest.approx(found["wall_s"], abs=0.01)


def test_start_up_ends_where_the_first_unit_begins(ray_cost, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ray_cost, "time", SimpleNamespace(time=lambda: now[0]))

    def pass_s(seconds):
        now[0] += seconds

    class Slow(LocalExecutor):
        def map(self, function, items):
            pass_s(2)
            done = super().map(function, items)
            pass_s(1)
            return done

    executor = ray_cost.Marking(Slow(), tmp_path)
    assert executor.map(lambda item: pass_s(item) or item, [3, 4]) == [3, 4]
    assert executor.calls == [{"call": "map", "processes": 1, "startup_s": 2, "work_s": 7, "teardown_s": 1}]


def test_other_files_on_one_side_are_no_cost_at_all(ray_cost):
    same = {"files": {"split": {"split.parquet": "a"}}}
    pairs = [{"local": same, "ray": {"files": {"split": {"split.parquet": "b"}}}}]
    with pytest.raises(SystemExit, match="ray made other split"):
        ray_cost.check_same(pairs)


def test_sides_take_turns_and_the_ratio_is_the_median_of_the_pairs(ray_cost, digits, monkeypatch):
    order = []

    def measured(side, recipe):
        order.append(side)
        seconds = 10.0 if side == "local" else (0, 12.0, 12.0, 11.0, 11.0, 20.0, 20.0)[len(order)]
        return {"rest_s": seconds, "wall_s": 2 * seconds, "files": {"split": {}}}

    monkeypatch.setattr(ray_cost, "measure", measured)
    monkeypatch.setattr(ray_cost, "ProcessPoolExecutor", lambda *arguments, **options: ThreadPoolExecutor(1))
    found = ray_cost.compare(tiny.recipe(digits), 3)
    assert order == ["local", "ray", "ray", "local", "local", "ray"]
    assert found["rest_ratios"] == found["wall_ratios"] == [1.2, 1.1, 2.0] and found["rest_ratio_median"] == 1.2
    assert found["identical_artifacts"] == ["split"] and "files" not in found["pairs"][0]["ray"]
