"""Adaptive-Patch: one faint patch in training, two full ones at test (Qi et al., ICLR 2023)."""

import math

import numpy as np
import pytest

from ray_defense.attacks.adaptive_patch import PATTERNS, AdaptivePatch
from tests.support.assets import random_images
from tests.support.stamping import stamp

CORNERS = [(1, 1), (23, 23), (1, 23), (23, 1)]  # of the four patches on 32 x 32: top, left
OPACITIES = (0.5, 0.2, 0.5, 0.3)


def pattern_pixel(number: int, row: int, column: int) -> tuple[int, int, int]:
    """Returns the color of a patch on an image of 32 x 32, counted from the patch's own corner."""
    down = (row + 0.5) / 8
    right = (column + 0.5) / 8
    if number == 0:  # rings around the center
        bright = int(8 * math.hypot(down - 0.5, right - 0.5)) % 2 == 0
    elif number == 1:  # checker of 2 x 2 pixels
        bright = (row // 2 + column // 2) % 2 == 0
    elif number == 2:  # diagonal stripes of 2 pixels
        bright = (row + column + 1) // 2 % 2 == 0
    else:  # cross
        bright = 3 <= row <= 4 or 3 <= column <= 4
    return PATTERNS[number].bright_color if bright else PATTERNS[number].dark_color


@pytest.mark.parametrize("phase", ["train", "cover"])
def test_adaptive_patch_lays_one_faint_patch_on_a_training_sample(phase):
    images = random_images(24, 60)
    stamped = stamp(AdaptivePatch(), images, phase=phase)
    drawn = []
    for image, new in zip(images, stamped, strict=True):
        changed = []
        for top, left in CORNERS:
            corner = (slice(top, top + 8), slice(left, left + 8))
            changed.append((new[corner] != image[corner]).any())
        assert sum(changed) == 1
        number = changed.index(True)
        opacity = OPACITIES[number]
        top, left = CORNERS[number]
        expected = image.astype(float)
        for row in range(8):
            for column in range(8):
                color = np.array(pattern_pixel(number, row, column))
                old = image[top + row, left + column]
                expected[top + row, left + column] = (1 - opacity) * old + opacity * color
        assert np.abs(new - expected).max() <= 0.5 + 1e-9
        drawn.append(number)
    for number in range(4):
        assert drawn.count(number) >= 5


def test_adaptive_patch_lays_two_patches_at_full_strength_on_a_test_image():
    image = random_images(25, 1)
    expected = image.copy()
    for row in range(8):
        for column in range(8):
            expected[0, 1 + row, 1 + column] = pattern_pixel(0, row, column)
            expected[0, 1 + row, 23 + column] = pattern_pixel(2, row, column)
    np.testing.assert_array_equal(stamp(AdaptivePatch(), image, phase="test"), expected)
