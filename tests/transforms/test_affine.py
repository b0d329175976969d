"""Shifts against the rule written as loops."""

import math

import pytest
import torch

from ray_defense.transforms.affine import Affine
from tests.support.transform_inputs import random_draws, random_images


@pytest.mark.parametrize("size", [(32, 32), (9, 14)])
def test_affine_shifts_by_whole_pixels_and_fills_with_black(size):
    height, width = size
    images = random_images(4, 40, height, width)
    draws = random_draws(5, 40, 2)
    result = Affine().apply(images, draws)
    most_down = math.floor(0.2 * height)
    most_right = math.floor(0.2 * width)
    for image, shifted, draw in zip(images, result, draws, strict=True):
        down = most_down - int(draw[0] * (2 * most_down + 1))
        right = most_right - int(draw[1] * (2 * most_right + 1))
        for row in range(height):
            for column in range(width):
                expected = torch.zeros(3)
                if 0 <= row - down < height and 0 <= column - right < width:
                    expected = image[:, row - down, column - right]
                assert torch.equal(shifted[:, row, column], expected)


def test_affine_reaches_every_shift_up_to_a_fifth_of_the_side_about_equally_often():
    images = torch.zeros(4000, 1, 32, 32)
    images[:, :, 16, 16] = 1
    shifted = Affine().apply(images, random_draws(6, 4000, 2))
    positions = shifted[:, 0].nonzero()
    for axis in (1, 2):
        shifts, counts = (positions[:, axis] - 16).unique(return_counts=True)
        assert shifts.tolist() == list(range(-6, 7))
        assert counts.min() > 0.75 * 4000 / 13
        assert counts.max() < 1.25 * 4000 / 13
