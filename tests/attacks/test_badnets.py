"""BadNets, all to one: every pixel against App. C.3."""

import numpy as np
import pytest

from ray_defense.attacks.badnets import BadNets
from tests.support.assets import random_images
from tests.support.stamping import by_pixel, stamp


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (5, 7), (64, 100)])
def test_badnets_puts_a_checker_in_the_corner_of_a_small_image(size):
    image = random_images(1, 1, *size)
    height, width = size
    white = {
        (height - 1, width - 1),
        (height - 1, width - 3),
        (height - 2, width - 2),
        (height - 3, width - 1),
    }

    def value(old, row, column, channel):
        if (row, column) in white:
            return 255.0
        inside = row >= height - 3 and column >= width - 3
        return 0.0 if inside else old

    np.testing.assert_array_equal(stamp(BadNets(), image)[0], by_pixel(image[0], value))


@pytest.mark.parametrize(("size", "side"), [((224, 224), 22), ((65, 65), 6), ((100, 150), 10)])
def test_badnets_puts_a_white_square_of_a_tenth_of_the_side_in_the_corner_of_a_large_image(
    size, side
):
    image = random_images(2, 1, *size)
    expected = image.copy()
    expected[:, size[0] - side :, size[1] - side :] = 255
    np.testing.assert_array_equal(stamp(BadNets(), image), expected)
