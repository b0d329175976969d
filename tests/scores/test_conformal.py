"""Conformal p-values against their definition, written as loops, and under the null."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.conformal import conformal_p_values

SCORES = st.lists(st.integers(-3, 3).map(float) | st.floats(-4, 4), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_p_values_are_their_definition_as_loops(scores, reference):
    expected = []
    for score in scores:
        num_not_below = sum(other >= score for other in reference)
        expected.append((1 + num_not_below) / (1 + len(reference)))
    p_values = conformal_p_values(np.array(scores), np.array(reference))
    assert p_values.dtype == np.float64
    assert p_values.tolist() == expected


def test_p_values_of_exchangeable_samples_are_uniform_and_ties_only_raise_them():
    generator = np.random.default_rng(0)
    smooth = []
    tied = []
    for _ in range(4000):
        scores = generator.normal(size=100)
        smooth.append(conformal_p_values(scores[:1], scores[1:])[0])
        tied.append(conformal_p_values(np.round(scores[:1]), np.round(scores[1:]))[0])
    for level in (0.01, 0.05, 0.2, 0.5):
        noise = 4 * math.sqrt(level * (1 - level) / 4000)
        assert np.mean(np.array(smooth) <= level) == pytest.approx(level, abs=noise)
        assert np.mean(np.array(tied) <= level) <= level + noise


@pytest.mark.parametrize(
    ("scores", "reference"), [([1.0], []), ([math.nan], [1.0]), ([1.0], [math.inf])]
)
def test_scores_without_a_reference_or_without_an_order_are_refused(scores, reference):
    with pytest.raises(InputError, match="conformal p-values need"):
        conformal_p_values(np.array(scores), np.array(reference))
