"""Integers from uniform draws."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.transforms.draws import to_integers


@settings(max_examples=20, deadline=None)
@given(draw=st.floats(0, 1), count=st.integers(1, 40))
def test_an_integer_draw_stays_below_its_count(draw, count):
    value = int(to_integers(torch.tensor([draw]), count)[0])
    assert 0 <= value < count
    assert value == int(to_integers(torch.tensor([draw]), torch.tensor([count]))[0])
