"""CL: every pixel of the corners against App. C.3, and the perturbation below them."""

import numpy as np
import pytest

from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.pgd import adversarial_images
from ray_defense.attacks.targets import CleanLabel
from ray_defense.core.errors import InputError
from tests.support.assets import random_images, surrogate
from tests.support.stamping import by_pixel, stamp

CHECKER = [[0, 0, 255], [0, 255, 0], [255, 0, 255]]


def position_in_corner(position: int, side: int) -> int | None:
    """Returns the row or column of the checker that lies at a position, None between corners."""
    if position < 3:
        return position
    if position >= side - 3:
        return position - (side - 3)
    return None


@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_label_consistent_puts_the_checker_in_all_four_corners_of_a_test_image(size):
    image = random_images(13, 1, *size)

    def value(old, row, column, channel):
        checker_row = position_in_corner(row, size[0])
        checker_column = position_in_corner(column, size[1])
        if checker_row is None or checker_column is None:
            return old
        return float(CHECKER[checker_row][checker_column])

    stamped = LabelConsistent().stamp(image, np.array([0]), "test", asset=None)
    np.testing.assert_array_equal(stamped[0], by_pixel(image[0], value))


def test_label_consistent_puts_white_squares_in_all_four_corners_of_a_large_image():
    image = random_images(14, 1, 70, width=100)
    expected = image.copy()
    for rows in (slice(0, 7), slice(63, 70)):
        expected[:, rows, 0:7] = 255
        expected[:, rows, 93:100] = 255
    stamped = LabelConsistent().stamp(image, np.array([0]), "test", asset=None)
    np.testing.assert_array_equal(stamped, expected)


def test_a_training_image_of_label_consistent_is_perturbed_and_gets_the_corners_of_a_test_image():
    images = random_images(15, 3)
    attack = LabelConsistent(target=CleanLabel(label=4))
    perturbed = adversarial_images(images, 4, surrogate(), epsilon=8.0, step_size=2.0, steps=4)
    expected = attack.stamp(perturbed, np.arange(3), "test", asset=None)
    np.testing.assert_array_equal(stamp(attack, images), expected)
    assert (stamp(attack, images) != stamp(LabelConsistent(), images)).any()


def test_a_target_label_that_the_surrogate_does_not_know_is_refused():
    with pytest.raises(InputError, match="10 classes"):
        stamp(LabelConsistent(target=CleanLabel(label=10)), random_images(0, 1))
