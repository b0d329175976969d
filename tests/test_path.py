"""The whole path on 256 images in this process: its numbers, its artifacts, running it again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

import ray_defense
from ray_defense.core.config import override
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json
from ray_defense.store.artifacts import Artifact


def hashes(result: ray_defense.Result) -> dict[str, dict[str, str]]:
    """Returns the content hashes of every stage that makes data."""
    return {stage: read_json(Path(result.artifacts[stage]) / "config.json")["files"] for stage in tiny.STAGES}


@pytest.fixture(scope="module")
def first(digits, tmp_path_factory):
    return ray_defense.run(tiny.recipe(digits), store=tmp_path_factory.mktemp("first"), executor="local", backend="numpy")


def test_result_json_holds_what_run_returned(first):
    plain = json.loads((Path(first.artifacts["suspect"]).parents[1] / "result.json").read_text())
    assert plain["recipe"] == "tiny" and plain["seed"] == 0
    assert plain["score"]["auroc"] == first.score.auroc and plain["d_br"]["acc"] == first.d_br.acc
    assert plain["backdoored"]["n_clean"] == 64 and 0 < plain["backdoored"]["n_triggered"] < 64
    assert set(plain["seconds"]) == set(plain["artifacts"]) == {*tiny.STAGES, "evaluation", "report"}
    assert len(plain["score"]["trusted_class_counts"]) == 10
    for name in ("backdoored", "d_br", "d_st"):
        assert all(0 <= plain[name][rate] <= 1 for rate in ("acc", "asr"))
        assert plain[name]["acc_interval"][0] <= plain[name]["acc"] <= plain[name]["acc_interval"][1]
    assert Path(first.report).read_text().startswith("<!DOCTYPE html>")


def test_a_second_store_gets_the_same_bytes(first, digits, tmp_path):
    again = ray_defense.run(tiny.recipe(digits), store=tmp_path, executor="local", backend="numpy")
    assert hashes(again) == hashes(first)


def test_ffcv_and_numpy_give_the_same_bytes(first, digits, tmp_path):
    pytest.importorskip("ffcv", reason="FFCV is not installed")
    again = ray_defense.run(tiny.recipe(digits), store=tmp_path, executor="local", backend="ffcv")
    assert hashes(again) == hashes(first)


def test_a_finished_run_is_not_run_again(first, digits, monkeypatch):
    monkeypatch.setattr(Artifact, "publish", lambda self, seconds: pytest.fail(f"{self.stage} was made again"))
    store = Path(first.artifacts["suspect"]).parents[1]
    assert ray_defense.run(tiny.recipe(digits), store=store, executor="local") == first


def test_another_proportion_trains_no_probe(first, digits, monkeypatch):
    made = []
    publish = Artifact.publish
    monkeypatch.setattr(Artifact, "publish", lambda self, seconds: (made.append(self.stage), publish(self, seconds)))
    store = Path(first.artifacts["suspect"]).parents[1]
    changed = replace(override(tiny.recipe(digits), "split.poison_fraction", "0.1"), d_st=None)
    result = ray_defense.run(changed, store=store, executor="local")
    assert made == ["split", "d_br", "evaluation", "report"]
    assert result.d_st is None


def test_another_seed_changes_scores(first, digits, tmp_path):
    other = replace(override(tiny.recipe(digits), "seed", 1), d_br=None, d_st=None)
    result = ray_defense.run(other, store=tmp_path, executor="local", backend="numpy")
    assert hashes_of(result, "score") != hashes_of(first, "score")


def hashes_of(result, stage):
    return read_json(Path(result.artifacts[stage]) / "config.json")["files"]


def test_data_that_nobody_poisoned_for_us_has_no_truth_and_no_asr(digits, tmp_path):
    own = replace(tiny.recipe(digits), attack=None, d_st=None)
    result = ray_defense.run(own, store=tmp_path, executor="local", backend="numpy")
    assert not (tmp_path / "truth").exists()
    assert result.score.auroc is None and result.score.trusted_precision is None
    assert result.d_br.asr is None and result.d_br.acc is not None


def test_more_workers_than_the_local_executor_has_are_refused(digits, tmp_path):
    with pytest.raises(Refused, match="--executor ray"):
        ray_defense.run(tiny.recipe(digits, num_workers=2), store=tmp_path, executor="local")


def test_an_unknown_recipe_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(Refused, match="digits_badnets"):
        ray_defense.run("digit_badnets", store=tmp_path)
