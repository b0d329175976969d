"""Trojan: every pixel against App. C.3, and the place of the patch."""

import numpy as np
import pytest

from ray_defense.attacks.trojan import Trojan, patch_slices
from ray_defense.core.errors import InputError
from tests.support.assets import random_images, trojan_pattern
from tests.support.import_cost import heavy_imports
from tests.support.stamping import PHASES, by_pixel, stamp


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_trojan_adds_its_pattern_and_clips(phase, size):
    image = random_images(7, 1, *size)
    pattern = trojan_pattern(*size)

    def value(old, row, column, channel):
        return old + float(pattern[row, column, channel])

    stamped = stamp(Trojan(), image, phase=phase, asset=pattern)
    np.testing.assert_array_equal(stamped[0], by_pixel(image[0], value))


def test_the_trojan_patch_has_the_papers_place_and_grows_with_the_image():
    assert patch_slices(32, 32) == (slice(25, 28), slice(25, 28))
    assert patch_slices(224, 64) == (slice(175, 196), slice(50, 56))
    for height in range(3, 300):
        rows, _ = patch_slices(height, 32)
        assert 0 <= rows.start < rows.stop <= height
        assert rows.stop - rows.start == max(3, round(3 * height / 32))


def test_a_trojan_pattern_of_another_size_is_refused():
    with pytest.raises(InputError, match="3 x 3 pixels does not fit images of 32 x 32"):
        stamp(Trojan(), random_images(0, 1), asset=np.zeros((3, 3, 3), np.uint8))


def test_stamping_a_given_pattern_needs_no_torch():
    code = (
        "import numpy as np\n"
        "from ray_defense.attacks.trojan import Trojan\n"
        "images = np.zeros((1, 8, 8, 3), np.uint8)\n"
        "Trojan().stamp(images, np.array([0]), 'test', images[0])\n"
    )
    assert heavy_imports(code) == []


def test_the_authors_trojan_wraps_round_instead_of_clipping():
    images = random_images(3, 2)
    pattern = np.full(images.shape[1:], 200, np.uint8)
    stamped = Trojan(overflow="wrap").stamp(images, np.arange(2), asset=pattern)
    np.testing.assert_array_equal(stamped, (images.astype(int) + 200) % 256)
