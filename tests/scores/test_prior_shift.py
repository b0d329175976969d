"""Posteriors under an estimated share."""

import math

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.scores.prior_shift import shift_prior


def drawn(num_positive: int, num_negative: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns log-odds for equal shares of N(3, 1) against N(-3, 1), and who is positive."""
    generator = np.random.default_rng(seed)
    is_positive = np.arange(num_positive + num_negative) < num_positive
    x = generator.normal(size=len(is_positive)) + np.where(is_positive, 3, -3)
    return 6 * x, is_positive


def test_posteriors_are_those_of_loops():
    log_odds, _ = drawn(30, 200)
    share = 0.25
    for _ in range(1000):
        posteriors = []
        for value in log_odds:
            positive = math.exp(value) / 0.25 * share
            negative = 1 / 0.75 * (1 - share)
            posteriors.append(positive / (positive + negative))
        before = share
        share = sum(posteriors) / len(posteriors)
        if abs(share - before) <= 1e-9:
            break
    shifted = shift_prior(log_odds, 0.25)
    assert shifted.share == pytest.approx(share, abs=1e-8)
    assert shifted.posteriors_M == pytest.approx(posteriors, abs=1e-6)


@pytest.mark.parametrize("num_positive", [20, 200, 2000])
def test_the_share_is_that_of_the_samples_whatever_it_was_in_training(num_positive):
    log_odds, is_positive = drawn(num_positive, 8000)
    for learned in (0.1, 0.5, 0.9):
        shifted = shift_prior(log_odds + math.log(learned / (1 - learned)), learned)
        assert shifted.share * len(log_odds) == pytest.approx(num_positive, rel=0.05, abs=3)
        flagged = shifted.posteriors_M > 0.5
        assert (~is_positive[flagged]).mean() < 0.2
        assert flagged[is_positive].mean() > 0.9


def test_where_nothing_is_positive_the_share_is_close_to_nothing():
    log_odds, _ = drawn(0, 8000)
    shifted = shift_prior(log_odds, 0.5)
    assert shifted.share < 1e-3
    assert (shifted.posteriors_M > 0.5).sum() <= 2


def test_extreme_log_odds_stay_finite():
    shifted = shift_prior(np.array([-1e6, 1e6, 0.0]), 0.25)
    assert np.isfinite(shifted.posteriors_M).all()
    assert 0 < shifted.share < 1


def test_a_share_of_nothing_is_refused():
    with pytest.raises(InputError, match="learned_share"):
        shift_prior(np.zeros(3), 0.0)
