"""The interval of true finds covers them as often as it says."""

import math

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.scores.find_interval import FindInterval, find_interval


def negative_binomial_quantile_loop(level, num_successes):
    total = 0.0
    k = 0
    while True:
        total += math.comb(k + num_successes - 1, k) * 0.5 ** (k + num_successes)
        if total >= level:
            return k
        k += 1


@pytest.mark.parametrize(("num_flagged", "num_opposite"), [(20, 0), (50, 3), (200, 11), (4, 6)])
def test_the_bounds_are_negative_binomial_quantiles(num_flagged, num_opposite):
    statistics = np.array([2.0] * num_flagged + [-2.0] * num_opposite + [1.0, -1.0, 0.5])
    most_false = negative_binomial_quantile_loop(0.975, num_opposite + 1)
    fewest_false = 0
    if num_opposite:
        fewest_false = negative_binomial_quantile_loop(0.025, num_opposite)
    expected = FindInterval(
        estimate=max(0, num_flagged - num_opposite),
        low=max(0, num_flagged - most_false),
        high=max(0, num_flagged - fewest_false),
    )
    assert find_interval(statistics, 2.0) == expected


def test_the_interval_covers_the_true_number_at_its_confidence():
    generator = np.random.default_rng(0)
    num_covered = 0
    for _ in range(500):
        null = generator.normal(size=1000)
        interval = find_interval(np.concatenate((null, np.full(60, 5.0))), 1.5, confidence=0.9)
        num_covered += interval.low <= 60 <= interval.high
    assert num_covered / 500 >= 0.9 - 3 * math.sqrt(0.1 * 0.9 / 500)


def test_an_infinite_threshold_finds_nothing():
    assert find_interval(np.arange(-5.0, 5), math.inf) == FindInterval(0, 0, 0)


@pytest.mark.parametrize("confidence", [0, 1, math.nan])
def test_an_impossible_confidence_is_refused(confidence):
    with pytest.raises(InputError, match="confidence"):
        find_interval(np.ones(9), 1.0, confidence)
