"""The whole path on 256 images in this process: its numbers, its artifacts, running it again."""

import io
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import ray_defense
from ray_defense.cli.main import main
from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json, write_json
from ray_defense.core.progress import ProgressEvent, listening
from ray_defense.execution.protocols import Backend
from ray_defense.pipeline.recipe import Recipe
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import Artifact
from tests.support import tiny
from tests.support.faults import store_hashes
from tests.support.published import record_published

ROOT = Path(__file__).parents[2]


def run_locally(recipe: Recipe, store: Path, backend: Backend = "numpy") -> Result:
    return ray_defense.run(recipe, store=store, executor="local", backend=backend)


def store_of(result: Result) -> Path:
    return Path(result.artifacts["ingest"]).parents[1]


def hashes_of(result: Result, stage: str) -> dict[str, str]:
    """Returns the content hashes of a stage's files."""
    hashes: dict[str, str] = read_json(Path(result.artifacts[stage]) / "config.json")["files"]
    return hashes


def all_hashes(result: Result) -> dict[str, dict[str, str]]:
    """Returns the content hashes of every stage that makes data."""
    return {stage: hashes_of(result, stage) for stage in tiny.STAGES}


@pytest.fixture(scope="module")
def first(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run_locally(tiny.recipe(digits), tmp_path_factory.mktemp("first"))


def test_result_json_holds_what_run_returned(first: Result):
    plain = json.loads((store_of(first) / "result.json").read_text())
    assert plain["recipe"] == "tiny"
    assert plain["seed"] == 0
    assert plain["score"]["auroc"] == first.score.auroc
    assert plain["models"]["d_br"]["acc"] == first.d_br.acc
    assert plain["models"]["backdoored"]["num_clean"] == 64
    assert 0 < plain["models"]["backdoored"]["num_triggered"] < 64
    assert set(plain["seconds"]) == {*tiny.STAGES, "evaluation", "report"}
    assert set(plain["artifacts"]) == {*tiny.STAGES, "evaluation", "report"}
    assert len(plain["score"]["trusted_class_counts"]) == 10
    for name in ("backdoored", "d_br", "d_st"):
        rates = plain["models"][name]
        assert 0 <= rates["acc"] <= 1
        assert 0 <= rates["asr"] <= 1
        assert rates["acc_interval"][0] <= rates["acc"] <= rates["acc_interval"][1]
    assert Path(first.report).read_text().startswith("<!DOCTYPE html>")
    assert Result.from_plain(plain) == first


def test_result_json_is_as_its_schema_says(first: Result):
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    plain = json.loads((store_of(first) / "result.json").read_text())
    jsonschema.validate(plain, schema)
    for wrong in (
        plain | {"extra": 1},
        plain | {"seed": "0"},
        plain | {"models": {"d_br": plain["models"]["d_br"] | {"acc": 1.5}}},
        {name: value for name, value in plain.items() if name != "score"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_second_store_gets_the_same_bytes(first: Result, digits: Path, tmp_path: Path):
    again = run_locally(tiny.recipe(digits), tmp_path)
    assert all_hashes(again) == all_hashes(first)


def test_ffcv_and_numpy_give_the_same_bytes(first: Result, digits: Path, tmp_path: Path):
    pytest.importorskip("ffcv", reason="FFCV is not installed")
    again = run_locally(tiny.recipe(digits), tmp_path, backend="ffcv")
    assert all_hashes(again) == all_hashes(first)


def test_a_finished_run_is_not_run_again(
    first: Result, digits: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail_to_publish(artifact: Artifact, *arguments: object) -> None:
        pytest.fail(f"{artifact.stage} was made again")

    monkeypatch.setattr(Artifact, "publish", fail_to_publish)
    assert run_locally(tiny.recipe(digits), store_of(first), backend="auto") == first


def test_another_proportion_trains_no_probe(
    first: Result, digits: Path, monkeypatch: pytest.MonkeyPatch
):
    stages = record_published(monkeypatch)
    changed = override(tiny.recipe(digits), "decide.flagged_fraction", "0.1")
    result = run_locally(override(changed, "d_st", None), store_of(first), backend="auto")
    assert stages == ["split", "d_br", "evaluation", "report"]
    assert result.d_st is None


def test_another_seed_changes_scores(first: Result, digits: Path, tmp_path: Path):
    other = replace(override(tiny.recipe(digits), "seed", 1), defenses=())
    result = run_locally(other, tmp_path)
    assert hashes_of(result, "evidence") != hashes_of(first, "evidence")


def test_data_that_nobody_poisoned_for_us_has_no_truth_and_no_asr(digits: Path, tmp_path: Path):
    recipe = override(replace(tiny.recipe(digits), attack=None), "d_st", "none")
    result = run_locally(recipe, tmp_path)
    assert not (tmp_path / "truth").exists()
    assert result.score.auroc is None
    assert result.score.trusted_precision is None
    assert result.d_br.asr is None
    assert result.d_br.acc is not None


def test_more_workers_than_the_local_executor_has_are_refused(digits: Path, tmp_path: Path):
    with pytest.raises(InputError, match="--executor ray"):
        run_locally(tiny.recipe(digits, num_workers=2), tmp_path)


def test_an_unknown_recipe_is_refused_with_the_nearest_name(tmp_path: Path):
    with pytest.raises(InputError, match="digits_badnets"):
        ray_defense.run("digit_badnets", store=tmp_path)


def test_a_loaded_model_classifies_test_images_as_the_evaluation_says(first: Result, digits: Path):
    table = pq.read_table(digits / "test.parquet")
    images = []
    for data in table["image"].to_pylist():
        images.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    labels = table["label"].to_numpy()
    for name in ("backdoored", "d_br", "d_st"):
        model = ray_defense.load_model(first.artifacts[name])
        assert not model.training
        with torch.no_grad():
            predicted = model(batch).argmax(1).numpy()
        accuracy = float((predicted == labels).mean())
        assert accuracy == pytest.approx(first.models[name].acc, abs=1e-6)
    folder = Path(first.artifacts["d_br"])
    repaired = ray_defense.load_model(folder)
    from_file = ray_defense.load_model(folder / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(from_file(batch[:2]), repaired(batch[:2]))


def test_a_folder_without_a_model_is_refused(first: Result, tmp_path: Path):
    for folder in (tmp_path, tmp_path / "none", Path(first.artifacts["split"])):
        with pytest.raises(InputError, match="no model of a finished run"):
            ray_defense.load_model(folder)


def test_everything_that_is_exported_is_there_and_named():
    for name in ray_defense.__all__:
        assert getattr(ray_defense, name).__name__ == name
        assert name in dir(ray_defense)
    assert ray_defense.override(ray_defense.recipe("digits_badnets"), "seed", 3).seed == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_row_fault_06_an_interrupted_training_leaves_a_checkpoint_and_resumes_to_the_same_bytes(
    tmp_path: Path, number: signal.Signals, code: int
):
    tiny.write_digits(tmp_path)
    recipe = replace(tiny.recipe(tmp_path), backdoored=None, defenses=())
    write_json(tmp_path / "recipe.json", to_plain(recipe))
    struck = []

    def strike(event: ProgressEvent) -> None:
        if event.task == "probe" and event.num_done == 1 and not struck:
            struck.append(event)
            os.kill(os.getpid(), number)

    def detect(store: str) -> int:
        words = ["detect", "--config", str(tmp_path / "recipe.json"), "--quiet"]
        words += ["--executor", "local", "--backend", "numpy", "--store", str(tmp_path / store)]
        return main(words)

    with listening(strike):
        assert detect("store") == code
    assert len(list((tmp_path / "store").rglob("checkpoint.sealed"))) == 1
    assert detect("store") == detect("undisturbed") == 0
    assert store_hashes(tmp_path / "store") == store_hashes(tmp_path / "undisturbed")
