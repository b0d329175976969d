"""The same path on a local Ray: the same bytes, and the errors of the stages themselves."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ray_defense
from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import read_json
from ray_defense.data.sources.parquet import Parquet
from ray_defense.execution.placement import Placement
from ray_defense.execution.steps import make_steps
from ray_defense.reports.result import Result
from ray_defense.stages.ingest import IngestConfig, ingest_step
from tests.support import tiny
from tests.support.steps import plan_context

pytestmark = pytest.mark.ray


def stage_hashes(result: Result) -> dict[str, dict[str, str]]:
    """Returns the content hashes of every stage that makes data."""
    hashes = {}
    for stage in tiny.STAGES:
        hashes[stage] = read_json(Path(result.artifacts[stage]) / "config.json")["files"]
    return hashes


def refuse(item: object) -> None:
    raise InputError("too big")


def test_ray_and_local_give_the_same_bytes(ray_run: Result, digits: Path, tmp_path: Path) -> None:
    recipe = tiny.recipe(digits)
    local = ray_defense.run(recipe, store=tmp_path, executor="local", backend="numpy")
    assert stage_hashes(ray_run) == stage_hashes(local)
    assert ray_run.models["d_br"] == local.models["d_br"]
    assert ray_run.score == local.score


@pytest.mark.long
def test_two_workers_train_one_model(local_ray: Any, digits: Path, tmp_path: Path) -> None:
    """Two DDP workers on gloo run every stage; batch statistics differ from one worker's."""
    recipe = tiny.recipe(digits, num_workers=2)
    result = ray_defense.run(recipe, store=tmp_path, executor="ray", backend="numpy")
    history = read_json(Path(result.artifacts["d_st"]) / "metrics.json")["history"]
    assert len(history) == 4
    for epoch in history:
        assert np.isfinite(list(epoch.values())).all()
    assert stage_hashes(result)["probe"] != {}


def test_an_error_of_a_stage_on_ray_is_the_error_itself(local_ray: Any, tmp_path: Path) -> None:
    context = plan_context(tmp_path)
    absent = Parquet(path=str(tmp_path / "absent"))
    with pytest.raises(InputError, match="absent"):
        step = ingest_step(IngestConfig(), absent, context)
        make_steps([step], context.store, start_executor("numpy"))


def test_an_error_of_a_mapped_function_is_the_error_itself(local_ray: Any) -> None:
    with pytest.raises(InputError, match="too big"):
        start_executor("numpy").map(refuse, [1])


def sleep_a_while(seconds: float) -> None:
    time.sleep(seconds)


def test_a_mapped_function_that_hangs_is_given_up_after_the_patience(local_ray: Any) -> None:
    """Row 3 of the faults: a worker that hangs."""
    executor = start_executor("numpy", Placement(patience_s=1.0))
    with pytest.raises(RunError, match="nothing of tasks was finished in 1 s: a task hangs"):
        executor.map(sleep_a_while, [8.0])


def test_any_callable_can_be_mapped(local_ray: Any) -> None:
    assert start_executor("numpy").map(partial(pow, 2), [3, 4]) == [8, 16]
