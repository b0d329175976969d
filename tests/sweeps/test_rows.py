"""Rows of a sweep: every column is there, and label-free metrics are those of the formulas."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ray_defense.core.config import override
from ray_defense.core.files import json_bytes, read_json
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.reports.metrics import LABEL_FREE, METRICS
from ray_defense.reports.result import ModelResult, Result, ScoreResult
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.grid import Axis, Trial, grid_trials
from ray_defense.sweeps.rows import RowFolder, empty_row, measure_label_free, result_row
from tests.support import tiny
from tests.support.published import replace_published


@pytest.fixture
def trial(base: Recipe) -> Trial:
    return grid_trials(base, [Axis("seed", ("3",))])[0]


def test_the_label_free_metrics_are_those_of_the_formulas_and_of_the_last_epochs(
    digits: Path, tmp_path: Path
):
    plan = plan_recipe(tiny.recipe(digits), Store(tmp_path))
    run_plan(plan, LocalExecutor("numpy"), until="defended")
    measured = measure_label_free(plan)
    assert set(measured) == set(LABEL_FREE)
    assert None not in measured.values()
    artifacts = plan.artifacts("defended")
    labels = SuspectDataset(artifacts["ingest"].path).labels
    flagged = []
    for row in pq.read_table(artifacts["split"].path / "split.parquet").to_pylist():
        if row["split"] == "flagged":
            flagged.append(labels[row["index"]])
    common = max(range(10), key=flagged.count)
    concentration = flagged.count(common) / len(flagged) - float(np.mean(labels == common))
    assert measured["flagged_concentration"] == pytest.approx(concentration)
    metrics = {}
    for stage in ("probe", "backdoored", "d_br", "d_st"):
        metrics[stage] = read_json(artifacts[stage].path / "metrics.json")
    assert measured["probe_train_accuracy"] == metrics["probe"]["train_accuracy"]
    assert measured["backdoored_loss"] == metrics["backdoored"]["history"][1]["loss"]
    last_of_its_phase = metrics["d_st"]["history"][1]
    assert measured["d_st_contrastive_loss"] == last_of_its_phase["contrastive_loss"]
    metrics["d_br"]["kept_round"] = 1
    replace_published(artifacts["d_br"], "metrics.json", json_bytes(metrics["d_br"]))
    first_round = metrics["d_br"]["history"][0]
    assert measure_label_free(plan)["d_br_relearn_loss"] == first_round["relearn_loss"]


def test_the_metrics_of_a_stage_that_is_left_out_are_none(base: Recipe, tmp_path: Path):
    plan = plan_recipe(base, Store(tmp_path))
    run_plan(plan, LocalExecutor("numpy"), until="split")
    measured = measure_label_free(plan)
    for name, value in measured.items():
        assert (value is None) == (LABEL_FREE[name].stage not in (None, "probe")), name


def test_a_row_without_numbers_has_every_column(trial: Trial, digits: Path):
    row = empty_row(trial)
    assert row["trial"] == 0
    assert row["seed"] == "3"
    for name in (*METRICS, "trusted_least", "trusted_most", "weak_attack", "refused", "stopped"):
        assert row[name] is None
    for model in ("backdoored", "d_br", "d_st"):
        assert row[f"{model}_acc"] is None
        assert row[f"{model}_asr"] is None
    with_defenses = replace(trial, recipe=override(tiny.recipe(digits), "d_br", "none"))
    assert list(empty_row(with_defenses)) == list(row)


def test_a_row_is_read_back_and_a_trial_without_one_says_what_it_failed_by(
    trial: Trial, tmp_path: Path
):
    rows = RowFolder(tmp_path)
    assert not rows.has(trial)
    assert rows.read(trial) is None
    assert rows.error(trial) == "its process died"
    rows.write_error(trial, ValueError("too hot"))
    assert rows.error(trial) == "too hot"
    assert not rows.has(trial)
    rows.write(trial, {"auroc": 0.5})
    assert rows.has(trial)
    assert rows.read(trial) == {"auroc": 0.5}


def test_the_round_that_test_data_would_choose_stands_beside_the_one_that_was_kept(
    trial: Trial, monkeypatch
):
    rounds = [{"acc": 0.9, "asr": 1.0}, {"acc": 0.8, "asr": 0.0}, {"acc": 0.4, "asr": 0.0}]
    rates = ModelResult(
        title="D-BR",
        acc=0.4,
        asr=0.0,
        num_clean=10,
        num_triggered=9,
        acc_interval=None,
        asr_interval=None,
        acc_target_excluded=0.3,
        rounds=rounds,
    )
    result = Result(
        recipe="x",
        seed=0,
        score=ScoreResult(None, None, None, []),
        models={"d_br": rates, "d_st": replace(rates, rounds=None)},
        weak_attack=None,
        seconds={},
        artifacts={},
        report="",
        versions={},
    )
    monkeypatch.setattr("ray_defense.sweeps.rows.measure_label_free", lambda plan: {})
    row = result_row(trial, result, plan=None)
    assert (row["d_br_acc"], row["d_br_target_excluded_acc"]) == (0.4, 0.3)
    assert (row["d_br_best_round_acc"], row["d_br_best_round_asr"]) == (0.8, 0.0)
    assert row["d_st_best_round_acc"] is None
