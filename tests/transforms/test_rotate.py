"""Rotation against torchvision, and quarter turns to the bit."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.rotate import Rotate
from tests.support.transform_inputs import random_draws, random_images


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(32, 32), (20, 33), (7, 9)])
def test_rotate_is_torchvisions_rotate(size, interpolation):
    images = random_images(1, 24, *size)
    draws = random_draws(2, 24, 1)
    result = Rotate(interpolation=interpolation).apply(images, draws)
    mode = tv.InterpolationMode(interpolation)
    expected = []
    for image, draw in zip(images, draws[:, 0], strict=True):
        angle = -180 + 360 * float(draw)
        expected.append(tv.rotate(image, angle, interpolation=mode))
    close = (result - torch.stack(expected)).abs() < 1e-4
    assert close.float().mean() > 0.9995  # a tie of the nearest pixel may fall either way


@pytest.mark.parametrize(("draw", "turns"), [(0.5, 0), (0.75, 1), (0.0, 2), (0.25, 3)])
def test_rotate_by_a_quarter_turn_moves_every_pixel_to_its_place(draw, turns):
    images = random_images(3, 2)
    result = Rotate().apply(images, torch.full((2, 1), draw))
    assert torch.equal(result, torch.rot90(images, turns, dims=(2, 3)))
