"""The numbers of a run survive the file they are written to."""

import json

from ray_defense.core.files import json_bytes
from ray_defense.reports.result import ModelResult, Result, ScoreResult


def make_result() -> Result:
    rates = ModelResult(
        title="D-ST",
        acc=0.5,
        asr=None,
        num_clean=10,
        num_triggered=0,
        acc_interval=[0.25, 0.75],
        asr_interval=None,
        acc_target_excluded=None,
        rounds=[{"acc": 0.5, "asr": None}],
    )
    return Result(
        recipe="tiny",
        seed=3,
        score=ScoreResult(0.5, None, None, trusted_class_counts=[1, 2]),
        models={"backdoored": rates, "d_st": rates},
        weak_attack=None,
        seconds={"probe": 1.5},
        artifacts={"probe": "store/probe/ab"},
        report="report.html",
        versions={"torch": "2.15"},
        notes=["class 1 is scarce"],
    )


def test_a_result_read_back_from_its_file_is_the_same():
    result = make_result()
    assert Result.from_plain(json.loads(json_bytes(result))) == result


def test_a_model_that_was_not_trained_is_none():
    result = make_result()
    assert result.backdoored == result.models["backdoored"]
    assert result.d_st == result.models["d_st"]
    assert result.d_br is None
