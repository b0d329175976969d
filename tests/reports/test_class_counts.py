"""Counts by class: the p-value against its definition, and classes without samples."""

from math import comb

import numpy as np
import pytest

from ray_defense.reports.class_counts import count_by_class


def tail_by_loops(total: int, total_flagged: int, size: int, num_flagged: int) -> float:
    """Returns the probability of `num_flagged` or more among `size` samples of a class."""
    ways = 0
    for count in range(num_flagged, min(size, total_flagged) + 1):
        ways += comb(size, count) * comb(total - size, total_flagged - count)
    return ways / comb(total, total_flagged)


def test_the_p_value_is_the_upper_tail_of_the_hypergeometric_distribution():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 60)
    flagged = draw.random(60) < np.where(labels == 2, 0.4, 0.1)
    for count in count_by_class(labels, flagged, ("a", "b", "c", "d")):
        assert count.num_samples == (labels == count.label).sum()
        assert count.num_flagged == (labels[flagged] == count.label).sum()
        tail = tail_by_loops(60, int(flagged.sum()), count.num_samples, count.num_flagged)
        assert count.p_value == pytest.approx(tail, rel=1e-9)
        assert count.expected == pytest.approx(count.num_samples * flagged.sum() / 60)


def test_the_class_with_the_smallest_p_value_comes_first():
    labels = np.repeat(np.arange(3), 20)
    flagged = np.zeros(60, bool)
    flagged[20:32] = True
    counts = count_by_class(labels, flagged, ("a", "b", "c"))
    assert [count.label for count in counts] == [1, 0, 2]


@pytest.mark.parametrize("num_samples", [0, 5])
def test_a_class_without_samples_has_no_share_and_nothing_flagged_is_no_surprise(num_samples):
    labels = np.zeros(num_samples, np.int64)
    counts = count_by_class(labels, np.zeros(num_samples, bool), ("a", "b"))
    assert counts[1].share is None
    assert [count.p_value for count in counts] == [1.0, 1.0]
