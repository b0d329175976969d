"""BadNets, all to all: every pixel against App. C.3."""

import numpy as np
import pytest

from ray_defense.attacks.badnets_all2all import BadNetsAllToAll
from tests.support.assets import random_images
from tests.support.stamping import by_pixel, stamp


def test_badnets_all2all_puts_a_white_square_at_rows_and_columns_28_to_30():
    image = random_images(3, 1)

    def value(old, row, column, channel):
        return 255.0 if row in (28, 29, 30) and column in (28, 29, 30) else old

    np.testing.assert_array_equal(stamp(BadNetsAllToAll(), image)[0], by_pixel(image[0], value))


@pytest.mark.parametrize(
    ("size", "side", "margin"), [((224, 224), 22, 7), ((65, 65), 6, 2), ((100, 150), 10, 3)]
)
def test_badnets_all2all_keeps_its_margin_on_a_large_image(size, side, margin):
    image = random_images(2, 1, *size)
    height, width = size
    expected = image.copy()
    rows = slice(height - margin - side, height - margin)
    columns = slice(width - margin - side, width - margin)
    expected[:, rows, columns] = 255
    np.testing.assert_array_equal(stamp(BadNetsAllToAll(), image), expected)
