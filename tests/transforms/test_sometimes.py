"""A transform that only some images undergo."""

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.sometimes import Sometimes


def test_the_last_draw_decides_for_each_image():
    images = torch.rand(3, 3, 4, 4)
    sometimes = Sometimes(Flip(), 0.5)
    draws = torch.zeros(3, sometimes.num_draws)
    draws[:, -1] = torch.tensor([0.49, 0.5, 0.9])
    changed = sometimes.apply(images, draws)
    assert torch.equal(changed[0], images[0].flip(2))
    assert torch.equal(changed[1:], images[1:])


def test_a_fraction_is_a_probability():
    with pytest.raises(InputError, match="fraction"):
        Sometimes(Flip(), 1.5)
