"""mid50 against its definition, written as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import InputError
from ray_defense.scores.mirror_accuracy import middle_accuracy


@given(st.lists(st.integers(-4, 4).map(float) | st.floats(-5, 5), min_size=1, max_size=60))
def test_mid50_is_its_definition_as_loops(statistics):
    pairs = [(abs(value), position) for position, value in enumerate(statistics)]
    num_middle = max(1, len(statistics) // 2)
    num_right = 0.0
    for _, position in sorted(pairs)[:num_middle]:
        if statistics[position] > 0:
            num_right += 1
        elif statistics[position] == 0:
            num_right += 0.5
    assert middle_accuracy(np.array(statistics)) == num_right / num_middle


def test_a_trigger_in_four_of_ten_samples_does_not_raise_mid50():
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], 6000)
    null = signs * generator.random(6000)
    with_trigger = np.full(4000, 10.0)
    assert middle_accuracy(np.concatenate((with_trigger, null))) == pytest.approx(0.5, abs=0.02)


def test_a_handed_source_raises_mid50():
    generator = np.random.default_rng(0)
    assert middle_accuracy(generator.normal(loc=1, size=5000)) > 0.7


def test_no_statistics_have_no_accuracy():
    with pytest.raises(InputError, match=r"\[0\]"):
        middle_accuracy(np.zeros(0))
