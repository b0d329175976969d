"""Laws of the table of metrics, the first being that nothing which chooses sees the truth."""

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.defenses import DEFENSES
from ray_defense.reports import metrics
from ray_defense.reports.metrics import (
    LABEL_FREE,
    METRICS,
    RANKING_METRICS,
    better_mode,
    check_label_free,
    rate_metrics,
)
from ray_defense.scores.label_free import label_free_metrics
from ray_defense.scores.split import split_by_score

MODELS = ["backdoored", *DEFENSES]
TRAINING_STAGES = ["probe", *MODELS]
OFFERED = "one of these"


def names_that_see_truth_or_test_set() -> list[str]:
    names = ["weak_attack"]
    for model in MODELS:
        names.extend(metric.name for metric in rate_metrics(model, model))
    for metric in METRICS.values():
        if not metric.label_free:
            names.append(metric.name)
    return names


def test_every_metric_has_a_name_and_a_title_of_its_own():
    listed = list(metrics._ALL)
    for model in MODELS:
        listed.extend(rate_metrics(model, model))
    assert len({metric.name for metric in listed}) == len(listed)
    assert len({metric.title for metric in listed}) == len(listed)


@pytest.mark.parametrize("name", names_that_see_truth_or_test_set())
def test_a_metric_that_sees_truth_or_test_set_may_not_be_chosen_by(name):
    with pytest.raises(InputError, match=f"{name} needs the truth or the test set.*{OFFERED}"):
        check_label_free(name, OFFERED)
    with pytest.raises(InputError, match="needs the truth or the test set"):
        better_mode(name)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_no_label_free_metric_has_a_name_like_one_that_sees_truth_or_test_set(name):
    assert not name.endswith(metrics._SEEING_ENDINGS)
    check_label_free(name, OFFERED)
    assert better_mode(name) == METRICS[name].better


def test_an_unknown_metric_is_refused_with_one_that_is_meant():
    with pytest.raises(InputError, match="separation"):
        better_mode("separatio")


@pytest.mark.parametrize("name", LABEL_FREE)
def test_a_label_free_metric_comes_from_a_training_stage_or_from_the_split(name):
    metric = LABEL_FREE[name]
    if metric.stage is None:
        assert metric.epoch_metric is None
    else:
        assert metric.stage in TRAINING_STAGES
        assert metric.name == f"{metric.stage}_{metric.epoch_metric}"


def test_the_label_free_metrics_of_a_split_are_among_those_that_are_computed():
    scores = np.arange(20.0)
    labels = np.arange(20) % 2
    computed = label_free_metrics(scores, labels, split_by_score(scores, 0.2, 0.2), 2)
    for metric in LABEL_FREE.values():
        assert metric.stage is not None or metric.name in computed


def test_trials_are_ranked_by_stages_that_train_and_in_the_direction_of_the_table():
    directions = {}
    for metric in LABEL_FREE.values():
        directions[metric.stage, metric.epoch_metric] = metric.better
    for stage, ranking in RANKING_METRICS.items():
        assert stage in TRAINING_STAGES
        for epoch_metric, better in ranking.items():
            assert directions.get((stage, epoch_metric), better) == better
            check_label_free(f"{stage}_{epoch_metric}", OFFERED)


def test_more_acc_and_less_asr_is_better_and_a_heading_is_the_title_without_its_brackets():
    acc, asr, robust_acc = rate_metrics("d_br", "D-BR")
    assert (acc.name, acc.better, acc.title) == ("d_br_acc", "max", "D-BR, ACC")
    assert (asr.name, asr.better, asr.title) == ("d_br_asr", "min", "D-BR, ASR")
    assert METRICS["trusted_precision"].heading == "precision of the trusted split"
