"""Whom a balanced trusted split holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.detectors.decision.trusted_part import balanced_trusted

SAMPLE = st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans())


@given(st.lists(SAMPLE, min_size=1, max_size=60), st.integers(0, 100))
def test_each_label_trusts_its_lowest_scores_by_exact_counts(samples, percent):
    scores = np.array([sample[0] for sample in samples], float)
    labels = np.array([sample[1] for sample in samples])
    excluded = np.array([sample[2] for sample in samples])
    trusted = balanced_trusted(scores, labels, excluded, percent / 100)
    expected = []
    for label in range(4):
        ranked = []
        for position, (score, its_label, is_excluded) in enumerate(samples):
            if its_label == label and not is_excluded:
                ranked.append((score, position))
        for _, position in sorted(ranked)[: percent * len(ranked) // 100]:
            expected.append(position)
    assert trusted.tolist() == sorted(expected)
    assert trusted.dtype == np.int64


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_none_or_all_of_the_samples_that_nobody_flagged_are_trusted(fraction):
    excluded = np.array([True, False, False])
    trusted = balanced_trusted(np.zeros(3), np.array([0, 0, 1]), excluded, fraction)
    assert trusted.tolist() == ([1, 2] if fraction else [])
