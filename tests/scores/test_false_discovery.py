"""Benjamini-Hochberg and Bonferroni against their definitions, written as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.conformal import conformal_p_values
from ray_defense.scores.false_discovery import benjamini_hochberg, bonferroni

P_VALUES = st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.3]) | st.floats(0, 1), max_size=40)
RATE = st.sampled_from([0.0, 0.01, 0.05, 0.2, 1.0])


def rejected_loop(p_values, rate):
    num_tests = len(p_values)
    cut = -1.0
    for rank, p_value in enumerate(sorted(p_values), start=1):
        if p_value <= rate * rank / num_tests:
            cut = p_value
    return [p_value <= cut for p_value in p_values]


@given(P_VALUES, RATE)
def test_benjamini_hochberg_is_its_definition_as_loops(p_values, rate):
    rejected = benjamini_hochberg(np.array(p_values), rate)
    assert rejected.tolist() == rejected_loop(p_values, rate)


@given(P_VALUES, RATE)
def test_what_bonferroni_rejects_benjamini_hochberg_rejects(p_values, rate):
    adjusted = bonferroni(np.array(p_values))
    expected = [min(1.0, len(p_values) * p_value) for p_value in p_values]
    assert adjusted.tolist() == expected
    rejected = benjamini_hochberg(np.array(p_values), rate)
    # One ulp below the bound, because M p and rate / M round differently.
    assert rejected[adjusted <= rate * (1 - 1e-12)].all()


def test_without_signal_any_find_is_as_rare_as_the_rate():
    generator = np.random.default_rng(0)
    num_alarms_hochberg = 0
    num_alarms_bonferroni = 0
    for _ in range(2000):
        p_values = generator.random(50)
        num_alarms_hochberg += benjamini_hochberg(p_values, 0.1).any()
        num_alarms_bonferroni += (bonferroni(p_values) <= 0.1).any()
    noise = 4 * np.sqrt(0.1 * 0.9 / 2000)
    assert num_alarms_hochberg / 2000 == pytest.approx(0.1, abs=noise)
    assert num_alarms_bonferroni / 2000 <= 0.1 + noise


def test_on_conformal_p_values_with_one_reference_the_share_of_false_finds_stays_at_the_rate():
    generator = np.random.default_rng(1)
    false_shares = []
    true_shares = []
    for _ in range(300):
        reference = generator.normal(size=2000)
        scores = np.concatenate((generator.normal(size=500), generator.normal(loc=5, size=50)))
        rejected = benjamini_hochberg(conformal_p_values(scores, reference), 0.1)
        false_shares.append(rejected[:500].sum() / max(1, rejected.sum()))
        true_shares.append(rejected[500:].mean())
    assert np.mean(false_shares) <= 0.1
    assert np.mean(true_shares) > 0.9


@pytest.mark.parametrize("p_values", [[0.5, 1.1], [-0.1], [float("nan")]])
def test_what_is_no_p_value_is_refused(p_values):
    for test in (bonferroni, lambda values: benjamini_hochberg(values, 0.1)):
        with pytest.raises(InputError, match="p-value"):
            test(np.array(p_values))
