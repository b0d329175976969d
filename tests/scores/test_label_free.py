"""Label-free metrics against their definitions, written as loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.scores.label_free import (
    class_balance,
    effective_rank,
    feature_norm,
    label_free_metrics,
    separation,
    starved_classes,
)
from ray_defense.scores.split import split_by_score
from tests.support.label_free_loops import entropy_loop, label_free_loops

SCORE = st.sampled_from([0.0, 0.0, 0.5, 2.0]) | st.floats(0.01, 100)
SAMPLES = st.lists(st.tuples(SCORE, st.integers(0, 4)), min_size=20, max_size=60)


@given(SAMPLES)
def test_the_metrics_of_scores_are_their_definitions_as_loops(samples):
    scores, labels = zip(*samples, strict=True)
    split = split_by_score(np.array(scores), 0.2, 0.1)
    metrics = label_free_metrics(np.array(scores), np.array(labels), split, num_classes=6)
    share_above = metrics.pop("separated_share")
    expected = label_free_loops(
        scores, labels, num_trusted=len(scores) // 5, num_flagged=len(scores) // 10
    )
    assert metrics == pytest.approx(expected, abs=1e-9)
    num_above = share_above * len(scores)
    assert num_above == pytest.approx(round(num_above))
    assert 0 <= share_above < 1


def test_the_metrics_of_an_empty_part_are_unknown():
    scores = np.arange(10.0)
    labels = np.arange(10) % 2
    metrics = label_free_metrics(scores, labels, split_by_score(scores, 0, 0), num_classes=2)
    unknown = [name for name, value in metrics.items() if value is None]
    assert unknown == ["tie_share", "trusted_balance", "trusted_starved", "flagged_concentration"]


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(2, 9))
def test_a_part_in_proportion_is_balanced_and_one_class_is_not(part, times):
    part = np.array(part)
    balance = class_balance(part, part * times)
    if not part.any():
        return
    assert balance == pytest.approx(1)
    assert not len(starved_classes(part, part * times))
    largest = int(part.argmax())
    one_class = np.zeros_like(part)
    one_class[largest] = part[largest]
    is_alone = (part > 0).sum() == 1
    assert class_balance(one_class, part * times) == (1 if is_alone else 0)
    others = np.setdiff1d(np.flatnonzero(part), [largest])
    assert starved_classes(one_class, part * times).tolist() == others.tolist()


@given(st.lists(st.floats(0, 100), min_size=3, max_size=30), st.floats(1e-6, 1e6))
def test_a_separation_lies_between_0_and_1_and_knows_no_unit(scores, unit):
    scores = np.round(np.array(scores), 3)
    value, share_above = separation(scores)
    assert 0 <= value <= 1
    assert separation(scores * unit)[0] == pytest.approx(value, abs=1e-6)
    all_equal = scores.min() == scores.max()
    assert (value == 0) == all_equal
    assert (share_above == 0) == all_equal


def test_two_groups_are_parted_where_they_part():
    values = np.array([0.0] * 90 + [7.0] * 10)
    assert separation(values) == pytest.approx((1.0, 0.1))
    rng = np.random.default_rng(0)
    near = np.exp(rng.normal(0, 0.1, 950))
    far = np.exp(rng.normal(5, 0.1, 50))
    value, share_above = separation(np.concatenate((near, far)))
    assert value > 0.95
    assert share_above == 0.05
    assert separation(near)[0] == pytest.approx(2 / math.pi, abs=0.03)


def random_features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def test_the_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    features = random_features(40, 7) * torch.tensor([1.0, 2, 4, 8, 1, 0.1, 0.01]) + 5
    columns = features.T.double().tolist()
    means = torch.tensor([math.fsum(column) / 40 for column in columns])
    centered = features.double() - means
    squares = np.linalg.eigvalsh((centered.T @ centered).numpy())
    expected = math.exp(entropy_loop(np.sqrt(squares).tolist()))
    assert effective_rank(features) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_orthogonal_directions_count_each_as_one_wherever_the_center_lies(rank):
    directions = torch.eye(8)[:rank]
    features = torch.cat((directions, -directions))
    assert effective_rank(features + 0.5) == pytest.approx(rank)
    assert effective_rank(100 * features) == pytest.approx(rank)


def test_collapsed_features_have_no_rank():
    assert effective_rank(torch.full((50, 8), 0.1)) == 0
    assert effective_rank(torch.zeros(5, 3)) == 0
    with_an_outlier = torch.full((50, 8), 0.1)
    with_an_outlier[7] = 0.2
    assert effective_rank(with_an_outlier) == pytest.approx(1)


def test_the_feature_norm_is_the_mean_length():
    features = random_features(9, 4)
    lengths = [math.hypot(*row) for row in features.tolist()]
    assert feature_norm(features) == pytest.approx(math.fsum(lengths) / 9)
