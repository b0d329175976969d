"""Runs of a store, told from the records of its artifacts."""

import shutil
from pathlib import Path

import pytest

from ray_defense.core.errors import DamageError
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.stored_runs import list_runs


def make_artifact(store: Store, stage: str, config: object, **inputs: Artifact) -> Artifact:
    artifact = store.locate(stage, 1, config, inputs)
    with store.claim([artifact]):
        (artifact.work / "file").write_text(stage)
        artifact.publish(seconds=1)
    return artifact


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of a run up to its report, one up to its split, and a model under way."""
    store = Store(tmp_path)
    ingest = make_artifact(store, "ingest", {"source": "digits"})
    split = make_artifact(store, "split", {"seed": 1, "config": {"name": "x"}}, suspect=ingest)
    recipe = {"seed": 3, "config": {"name": "digits_badnets"}}
    make_artifact(store, "report", recipe, ingest=ingest, split=split)
    make_artifact(store, "split", {"seed": 2, "config": None}, suspect=ingest)
    under_way = store.locate("backdoored", 1, {}, {"suspect": ingest})
    under_way.scratch.mkdir(parents=True)
    return store


def test_a_run_is_what_no_other_artifact_was_made_from(store: Store):
    stored = list_runs(store.root)
    described = {(run.recipe, run.seed): run.stages for run in stored.runs}
    assert described == {
        ("digits_badnets", 3): ("ingest", "split", "report"),
        (None, 2): ("ingest", "split"),
    }
    assert stored.unfinished == ("backdoored",)


def test_runs_whose_first_artifacts_are_gone_are_still_named(store: Store):
    shutil.rmtree(store.root / "ingest")
    assert {run.stages for run in list_runs(store.root).runs} == {("split", "report"), ("split",)}


def test_a_damaged_record_is_said(store: Store):
    record = next((store.root / "report").glob("*/config.json"))
    record.write_text(record.read_text() + " ")
    with pytest.raises(DamageError, match="is damaged"):
        list_runs(store.root)
