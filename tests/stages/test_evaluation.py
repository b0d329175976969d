"""What the evaluation compares with the truth: each sample, each epoch of a score trace."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.evaluation import (
    SAMPLES,
    EvaluationConfig,
    TrainedModel,
    evaluation_step,
    judge_trace,
    quality_of_table,
    sample_table,
    weight_files,
)
from ray_defense.stages.split_quality import split_quality
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.truth import Truth, seal
from tests.support.judge_loop import judge_loop
from tests.support.noise import NUM_CLASSES, write_noise
from tests.support.splits import split_by_given_scores
from tests.support.steps import make_step, plan_context, publish_step


@pytest.fixture
def context(probed_noise, tmp_path):
    return replace(probed_noise.context, store=Store(tmp_path))


@pytest.fixture
def split(probed_noise, context) -> Artifact:
    scores = np.random.default_rng(0).permutation(129)
    dataset = probed_noise.dataset
    return split_by_given_scores(context, probed_noise.suspect, dataset.index, scores)


def truth_of(index: np.ndarray) -> Truth:
    return Truth(index, index % 11 == 0, index % 11 == 1, index % 5)


def test_each_sample_meets_its_own_truth(split):
    table = sample_table(split, truth_of(np.arange(130)))
    index = table["index"].to_numpy()
    assert 7 not in index
    assert len(index) == 129
    assert np.array_equal(table["poisoned"].to_numpy(), index % 11 == 0)
    assert np.array_equal(table["cover"].to_numpy(), index % 11 == 1)
    assert np.array_equal(table["true_label"].to_numpy(), index % 5)
    assert sample_table(split, None).column_names == ["index", "score", "split"]


def test_the_quality_of_a_table_of_samples_is_that_of_its_columns(split):
    table = sample_table(split, truth_of(np.arange(130)))
    scores = table["score"].to_numpy()
    part = np.array(table["split"].to_pylist())
    poisoned = table["poisoned"].to_numpy()
    assert quality_of_table(table) == split_quality(scores, part, poisoned)
    assert set(quality_of_table(sample_table(split, None)).values()) == {None}


def evaluate(probed_noise, context, split: Artifact, attack: BadNets | None) -> Artifact:
    """Returns an evaluation of the split and of one model on a source without a test set."""
    source = write_noise(context.store.root / "train.parquet", count=130)
    needed = Step(split, needs=(), work=FunctionWork(lambda artifact, executor: None))
    step = evaluation_step(
        EvaluationConfig(cpus=1),
        probed_noise.suspect,
        needed,
        models={"backdoored": TrainedModel(probed_noise.probe, probed_noise.model, "probe")},
        source=source,
        attack=None if attack is None else PreparedAttack(attack),
        asset=None,
        context=context,
    )
    return make_step(step, context)


def test_an_evaluation_counts_the_sealed_truth_and_writes_what_is_known_of_each_sample(
    probed_noise, context, split
):
    truth = truth_of(np.delete(np.arange(130), 7))
    seal(context.store, probed_noise.suspect.key, truth)
    evaluation = evaluate(probed_noise, context, split, BadNets())
    content = read_json(evaluation.path / "evaluation.json")
    assert content["num_poisoned"] == truth.poisoned.sum()
    assert content["num_cover"] == truth.cover.sum()
    assert content["weak_attack"] is None  # there is no test set
    assert content["models"]["backdoored"]["acc"] is None
    assert content["models"]["backdoored"]["num_clean"] == 0
    table = pq.read_table(evaluation.path / SAMPLES)
    assert table.equals(sample_table(split, truth))
    counts = read_json(split.path / "summary.json")["trusted_class_counts"]
    expected = {**quality_of_table(table), "trusted_class_counts": counts}
    assert content["score"] == expected


def test_an_evaluation_without_an_attack_opens_no_truth(probed_noise, context, split):
    evaluation = evaluate(probed_noise, context, split, None)
    content = read_json(evaluation.path / "evaluation.json")
    for name in ("num_poisoned", "num_cover", "weak_attack"):
        assert content[name] is None
    assert content["score"]["auroc"] is None
    assert pq.read_table(evaluation.path / SAMPLES).column_names == ["index", "score", "split"]


def test_an_evaluation_of_data_that_nobody_poisoned_for_us_is_refused(probed_noise, context, split):
    with pytest.raises(InputError, match="no sealed truth"):
        evaluate(probed_noise, context, split, BadNets())


def test_the_kept_model_is_measured_before_its_rounds_in_order(probed_noise, tmp_path):
    def fill(directory: Path) -> None:
        model = build_model(probed_noise.model, NUM_CLASSES, 0)
        (directory / "rounds").mkdir()
        for name in ("rounds/round-002", "rounds/round-001", "model"):
            save_weights(directory / f"{name}.safetensors", model)

    trained = publish_step(plan_context(tmp_path), "d_br", fill).artifact
    names = [str(path.relative_to(trained.path)) for path in weight_files(trained)]
    rounds = ["rounds/round-001.safetensors", "rounds/round-002.safetensors"]
    assert names == [WEIGHTS, *rounds]


def judge(
    root: Path, scores: list[list[float]], index: np.ndarray, truth: Truth
) -> list[dict[str, Any]]:
    """Returns what is judged of the scores of some epochs, by fractions of a quarter."""
    context = plan_context(root)
    suspect = context.store.locate("ingest", 1, {}, {})

    def fill(directory: Path) -> None:
        columns = {
            "epoch": np.repeat(np.arange(len(scores)), len(index)),
            "index": np.tile(index, len(scores)),
            "score": np.concatenate(scores),
        }
        pq.write_table(pa.table(columns), directory / "scores.parquet")

    trace = publish_step(context, "trace", fill, {"suspect": suspect}).artifact
    seal(context.store, suspect.key, truth)
    return judge_trace(trace, suspect, Fractions(0.25, 0.25), context.store)


def test_cover_samples_are_not_poisoned_to_the_judge_and_each_sample_meets_its_own_truth(
    tmp_path,
):
    source_index = np.arange(0, 20, 2)
    poisoned = np.isin(source_index, [4, 16])
    cover = np.isin(source_index, [6, 18])
    truth = Truth(source_index, poisoned, cover, np.zeros(10, np.int64))
    index = np.delete(source_index, [0, 5])  # 2 4 6 8 12 14 16 18
    different = [0.0, 5, 9, 1, 1, 1, 8, 7]
    equal = [0.0] * 8
    first, second = judge(tmp_path, [different, equal], index, truth)
    is_poisoned = [False, True, False, False, False, False, True, False]
    assert first == {"epoch": 0, **judge_loop(different, is_poisoned, 2, 2)}
    assert first["flagged_precision"] == 0.5
    assert second == {"epoch": 1, **judge_loop(equal, is_poisoned, 2, 2)}
    assert second["auroc"] == 0.5
