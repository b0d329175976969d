"""Blend-Signal: every pixel against App. C.3."""

import math

import numpy as np
import pytest

from ray_defense.attacks.blend_signal import BlendSignal
from tests.support.assets import random_images
from tests.support.stamping import by_pixel, stamp


@pytest.mark.parametrize("size", [(32, 32), (28, 30), (64, 64)])
def test_blend_signal_mixes_in_four_dark_and_four_bright_columns(size):
    image = random_images(4, 1, *size)

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * (255.0 if column % 8 >= 4 else 0.0)

    np.testing.assert_array_equal(stamp(BlendSignal(), image)[0], by_pixel(image[0], value))


def test_blend_signal_mixes_a_sine_into_a_large_image():
    image = random_images(5, 1, 66, width=80)

    def value(old, row, column, channel):
        return 0.8 * old + 0.2 * (20 * math.sin(2 * math.pi * column * 6 / 80))

    stamped = stamp(BlendSignal(), image)[0].astype(int)
    expected = by_pixel(image[0], value)
    # A sum that is whole in exact arithmetic may be truncated to either side.
    assert np.abs(stamped - expected).max() <= 1
    assert (stamped != expected).mean() < 0.01
