"""Laws of the split."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.split import split_by_score

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCORES_WITH_TIES = st.lists(st.integers(-3, 3).map(float) | FINITE, min_size=1, max_size=60)
PERCENT = st.integers(0, 100)
PERCENTS = st.tuples(PERCENT, PERCENT).filter(lambda pair: sum(pair) <= 100)


@given(SCORES_WITH_TIES, PERCENTS)
def test_a_split_has_exact_counts_and_covers_every_position_once(scores, percents):
    trusted_percent, flagged_percent = percents
    split = split_by_score(np.array(scores), trusted_percent / 100, flagged_percent / 100)
    assert len(split.trusted) == trusted_percent * len(scores) // 100
    assert len(split.flagged) == flagged_percent * len(scores) // 100
    parts = [split.trusted, split.uncertain, split.flagged]
    for part in parts:
        assert part.dtype == np.int64
        assert part.tolist() == sorted(part.tolist())
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(scores)))


@given(SCORES_WITH_TIES, PERCENTS)
def test_a_split_orders_scores_then_positions(scores, percents):
    trusted_percent, flagged_percent = percents
    split = split_by_score(np.array(scores), trusted_percent / 100, flagged_percent / 100)
    highest_below = None
    for part in (split.trusted, split.uncertain, split.flagged):
        ranks = [(scores[position], position) for position in part]
        if not ranks:
            continue
        if highest_below is not None:
            assert highest_below < min(ranks)
        highest_below = max(ranks)


@given(SCORES_WITH_TIES, PERCENTS)
def test_the_part_names_say_where_each_position_is(scores, percents):
    trusted_percent, flagged_percent = percents
    split = split_by_score(np.array(scores), trusted_percent / 100, flagged_percent / 100)
    names = split.part_names()
    assert names.shape == (len(scores),)
    assert names.dtype == "U9"
    for name in ("trusted", "flagged", "uncertain"):
        assert np.flatnonzero(names == name).tolist() == getattr(split, name).tolist()


@given(st.integers(1, 10**6), st.decimals(0, 1, places=4, allow_nan=False))
def test_counts_are_the_floor_of_the_decimal_fraction(size, fraction):
    size = min(size, 5000)
    split = split_by_score(np.zeros(size), float(fraction), 0)
    assert len(split.trusted) == int(Decimal(size) * fraction)


def test_29_hundredths_of_a_hundred_are_29():
    assert len(split_by_score(np.zeros(100), 0.29, 0).trusted) == 29


def test_seven_tenths_and_three_tenths_are_all():
    split = split_by_score(np.arange(10.0), 0.7, 0.3)
    assert split.trusted.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert split.flagged.tolist() == [7, 8, 9]
    assert not len(split.uncertain)


@pytest.mark.parametrize(
    "fractions", [(-0.1, 0.1), (0.1, 1.1), (0.7, 0.4), (float("nan"), 0.1), (0.1, float("inf"))]
)
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(InputError, match="_fraction"):
        split_by_score(np.arange(10.0), *fractions)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_with_its_position(value):
    with pytest.raises(InputError, match="position 3 "):
        split_by_score(np.array([1.0, 2, 3, value, value]), 0.2, 0.05)


@pytest.mark.parametrize("scores", [[], [[1.0, 2.0]], 1.0])
def test_nothing_to_split_is_refused(scores):
    with pytest.raises(InputError, match="nothing to split"):
        split_by_score(np.array(scores), 0.2, 0.05)
