"""The knockoff+ threshold against its definition, written as loops, and what it promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.knockoff import estimated_rates, knockoff_threshold

STATISTICS = st.lists(
    st.integers(-4, 12).map(float) | st.floats(-5, 9), min_size=1, max_size=80
).filter(any)
RATE = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.34, 0.5, 1.0])


def threshold_loop(statistics, rate):
    for candidate in sorted({abs(value) for value in statistics if value != 0}):
        num_negative = 0
        num_positive = 0
        for value in statistics:
            num_negative += value <= -candidate
            num_positive += value >= candidate
        if (1 + num_negative) / max(1, num_positive) <= rate:
            return candidate
    return math.inf


@given(STATISTICS, RATE)
def test_the_threshold_is_its_definition_as_loops(statistics, rate):
    threshold = knockoff_threshold(np.array(statistics), rate)
    assert threshold == threshold_loop(statistics, rate)
    assert threshold > 0


@given(STATISTICS)
def test_a_higher_rate_never_flags_fewer(statistics):
    thresholds = [knockoff_threshold(np.array(statistics), rate) for rate in (0.05, 0.1, 0.3, 1)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_twenty_positive_statistics_are_the_fewest_that_a_rate_of_a_twentieth_flags():
    assert knockoff_threshold(np.arange(1.0, 21), 0.05) == 1
    assert knockoff_threshold(np.arange(1.0, 20), 0.05) == math.inf


def test_zeros_are_no_candidates_and_no_finds():
    assert knockoff_threshold(np.zeros(100), 1) == math.inf
    statistics = np.array([0.0] * 50 + [2.0] * 30)
    assert knockoff_threshold(statistics, 0.05) == 2


def test_fair_coins_are_flagged_no_more_often_than_the_rate():
    generator = np.random.default_rng(0)
    num_alarms = 0
    for _ in range(1000):
        # The sizes are heavy in the tail; only the signs matter.
        statistics = generator.standard_t(df=2, size=500)
        num_alarms += knockoff_threshold(statistics, 0.1) < math.inf
    assert num_alarms <= 0.1 * 1000 + 3 * math.sqrt(0.1 * 0.9 * 1000)


def test_the_share_of_false_finds_among_planted_ones_stays_at_the_rate():
    generator = np.random.default_rng(1)
    false_shares = []
    true_shares = []
    for _ in range(200):
        null = generator.normal(size=2000)
        planted = generator.normal(loc=4, size=200)
        threshold = knockoff_threshold(np.concatenate((null, planted)), 0.1)
        num_false = int((null >= threshold).sum())
        num_true = int((planted >= threshold).sum())
        false_shares.append(num_false / max(1, num_false + num_true))
        true_shares.append(num_true / 200)
    assert np.mean(false_shares) <= 0.1
    assert np.mean(true_shares) > 0.9


def test_estimated_rates_count_both_tails():
    statistics = np.array([-3.0, -1, 1, 2, 3, 3])
    rates = estimated_rates(statistics, np.array([1.0, 2, 3, 4]))
    assert rates.tolist() == [3 / 4, 2 / 3, 2 / 2, 1]


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(InputError, match="rate must lie in"):
        knockoff_threshold(np.ones(3), rate)


@pytest.mark.parametrize("statistics", [[], [[1.0]], [1.0, math.inf], [math.nan]])
def test_statistics_that_cannot_be_counted_are_refused(statistics):
    with pytest.raises(InputError, match="statistic"):
        knockoff_threshold(np.array(statistics), 0.1)
