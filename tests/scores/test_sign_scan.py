"""The sign scan against binomial sums, written as loops, and under the null."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.sign_scan import scan_scales, sign_scan_p_value


def binomial_tail_loop(count, num_positive, chance):
    terms = []
    for k in range(num_positive, count + 1):
        terms.append(math.comb(count, k) * chance**k * (1 - chance) ** (count - k))
    return math.fsum(terms)


def p_value_loop(statistics, chance):
    pairs = [(-abs(value), position) for position, value in enumerate(statistics) if value != 0]
    signs = [statistics[position] > 0 for _, position in sorted(pairs)]
    scales = []
    scale = 8
    while scale < len(signs):
        scales.append(scale)
        scale *= 2
    if len(signs) >= 8:
        scales.append(len(signs))
    tails = [binomial_tail_loop(scale, sum(signs[:scale]), chance) for scale in scales]
    return min(1.0, len(scales) * min(tails)) if tails else 1.0


@given(
    st.lists(st.integers(-3, 6).map(float) | st.floats(-5, 9), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.6, 0.9]),
)
def test_the_scan_is_its_definition_as_loops(statistics, chance):
    p_value = sign_scan_p_value(np.array(statistics), chance)
    assert p_value == pytest.approx(p_value_loop(statistics, chance), rel=1e-9)


def test_the_scales_double_up_to_all_signs():
    assert scan_scales(7) == []
    assert scan_scales(8) == [8]
    assert scan_scales(40) == [8, 16, 32, 40]


@pytest.mark.parametrize("chance", [0.5, 0.6])
def test_lopsided_signs_within_the_chance_are_seldom_significant(chance):
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(500):
        signs = np.where(generator.random(300) < chance, 1, -1)
        p_values.append(sign_scan_p_value(signs * generator.exponential(size=300), chance))
    for level in (0.01, 0.05, 0.2):
        noise = 4 * math.sqrt(level * (1 - level) / 500)
        assert np.mean(np.array(p_values) <= level) <= level + noise


def test_a_few_planted_samples_among_many_are_evidence():
    generator = np.random.default_rng(0)
    null = generator.normal(size=5000)
    planted = np.full(40, 6.0)
    assert sign_scan_p_value(null) > 0.05
    assert sign_scan_p_value(np.concatenate((null, planted))) < 1e-6


@pytest.mark.parametrize("chance", [0.4, 1.0, math.nan])
def test_an_impossible_chance_is_refused(chance):
    with pytest.raises(InputError, match="chance"):
        sign_scan_p_value(np.ones(9), chance)
