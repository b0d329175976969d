"""Blend-Picture: every pixel against App. C.3, and stretching the picture."""

import numpy as np
import pytest

from ray_defense.attacks.blend_picture import BlendPicture, resized
from tests.support.assets import random_images
from tests.support.stamping import PHASES, by_pixel, stamp


@pytest.mark.parametrize("phase", PHASES)
def test_blend_picture_mixes_in_a_fifth_of_the_picture(phase):
    image = random_images(10, 1)
    picture = random_images(11, 1)[0]

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * float(picture[row, column, channel])

    stamped = stamp(BlendPicture(), image, phase=phase, asset=picture)
    np.testing.assert_array_equal(stamped[0], by_pixel(image[0], value))


def test_a_picture_is_stretched_without_aliasing():
    picture = random_images(12, 1, 20, width=30)[0]
    np.testing.assert_array_equal(resized(picture, 20, 30), picture)
    assert (resized(np.full((7, 9, 3), 77, np.uint8), 32, 45) == 77).all()
    checker_HW = 255 * (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)
    shrunk = resized(np.repeat(checker_HW[:, :, None], 3, axis=2), 16, 16)
    assert shrunk.shape == (16, 16, 3)
    assert np.abs(shrunk.astype(int) - 127).max() <= 10


def test_a_stretched_picture_keeps_rows_rows():
    halves = np.zeros((8, 4, 3), np.uint8)
    halves[4:] = 255  # the lower half
    stretched = resized(halves, 16, 24)
    assert stretched[:4].max() == 0
    assert stretched[12:].min() == 255
