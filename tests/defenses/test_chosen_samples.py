"""Which samples have the smallest losses."""

import numpy as np
import pytest

from ray_defense.defenses.chosen_samples import ChosenSamples, lowest


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.0, [1]), (0.2, [1]), (0.39, [1]), (0.4, [1, 3]), (0.6, [1, 3, 4]), (1.0, [0, 1, 2, 3, 4])],
)
def test_the_smallest_losses_are_chosen_and_of_equal_ones_the_first(fraction, expected):
    losses = np.array([0.9, 0.1, 0.8, 0.5, 0.5])
    assert lowest(losses, fraction).tolist() == expected


def test_a_checkpoint_keeps_the_choice():
    chosen = ChosenSamples()
    chosen.index = np.array([3, 8, 9])
    other = ChosenSamples()
    other.load_state_dict(chosen.state_dict())
    assert other.index.tolist() == [3, 8, 9]
