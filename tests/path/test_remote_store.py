"""A whole run in a store at a URI comes back after the working directory is lost."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem

import ray_defense
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import TrainJob
from ray_defense.store.artifacts import Store
from tests.support import tiny
from tests.support.remote_stores import (
    SECRETS,
    URI,
    lose_working_directory,
    open_bucket_in,
    read_files,
)


def test_a_run_in_a_bucket_comes_back_without_training(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket = open_bucket_in(tmp_path, monkeypatch)
    first = ray_defense.run(tiny.recipe(digits), store=URI, executor="local", backend="numpy")

    def fail_to_train(executor: LocalExecutor, jobs: Sequence[TrainJob[object]]) -> None:
        pytest.fail(f"{jobs} were trained again")

    def fail_to_map(executor: LocalExecutor, *work: object) -> None:
        pytest.fail("it was measured again")

    monkeypatch.setattr(LocalExecutor, "train", fail_to_train)
    monkeypatch.setattr(LocalExecutor, "map", fail_to_map)
    lose_working_directory()
    again = ray_defense.run(tiny.recipe(digits), store=URI, executor="local", backend="numpy")
    assert again == first
    result = json.loads((bucket / "result.json").read_text())
    assert result["score"]["auroc"] == first.score.auroc
    stored = b"".join(read_files(bucket).values())
    for secret in (*SECRETS[1:], "KEY:"):
        assert secret.encode() not in stored
    remote = Store(URI).remote
    assert remote is not None
    assert isinstance(remote.file_system, FileSystem)
