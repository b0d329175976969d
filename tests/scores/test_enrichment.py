"""Enrichment: the formula as loops, and its tie to Benjamini-Hochberg."""

import numpy as np
import pytest

from ray_defense.scores.conformal import conformal_p_values
from ray_defense.scores.enrichment import enrichment
from ray_defense.scores.false_discovery import benjamini_hochberg


def by_loops(scores: np.ndarray, reference: np.ndarray, fewest: int) -> float:
    best = 0.0
    for threshold in scores:
        num_above = sum(score >= threshold for score in scores)
        if num_above < fewest:
            continue
        num_reference = sum(score >= threshold for score in reference)
        share = num_above / len(scores)
        best = max(best, share / ((1 + num_reference) / (1 + len(reference))))
    return best


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_largest_ratio_of_shares_above_a_threshold(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = np.round(generator.normal(size=60), 1) + 2 * (np.arange(60) < 10)
    reference = np.round(generator.normal(size=90), 1)
    assert enrichment(scores, reference, 5) == pytest.approx(by_loops(scores, reference, 5))


def test_its_inverse_is_the_rate_at_which_that_many_are_rejected() -> None:
    generator = np.random.default_rng(7)
    scores = np.concatenate([generator.normal(size=300), 4 + generator.normal(size=30)])
    reference = generator.normal(size=2000)
    rate = 1 / enrichment(scores, reference, 10)
    p_values = conformal_p_values(scores, reference)
    assert benjamini_hochberg(p_values, rate * (1 + 1e-9)).sum() >= 10
    assert benjamini_hochberg(p_values, rate * 0.99).sum() < 10


def test_too_few_samples_and_no_reference_say_nothing() -> None:
    assert enrichment(np.array([9.0, 9.0]), np.zeros(100), 3) == 1.0
    assert enrichment(np.full(50, 9.0), np.zeros(0), 3) == 1.0
