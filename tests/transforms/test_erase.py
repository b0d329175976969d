"""The rectangles that Erase blackens."""

import pytest
import torch

from ray_defense.transforms.erase import Erase
from tests.support.transform_inputs import random_draws


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (30, 60)])
def test_erase_blackens_one_rectangle_of_a_fifth_to_three_tenths(size):
    image_height, image_width = size
    area = image_height * image_width
    images = torch.ones(200, 1, image_height, image_width)
    black = Erase().apply(images, random_draws(12, 200, 4))[:, 0] == 0
    tops = set()
    for mask in black:
        rows = mask.any(1).nonzero()[:, 0]
        columns = mask.any(0).nonzero()[:, 0]
        height = int(rows[-1] - rows[0] + 1)
        width = int(columns[-1] - columns[0] + 1)
        assert int(mask.sum()) == height * width
        slack = (height + width) / 2 / area  # half a pixel of rounding on each side
        assert 0.2 - slack <= height * width / area <= 0.3 + slack
        ratio = (height / image_height) / (width / image_width)
        assert 0.5 * (1 - 2 / width) <= ratio <= 1 + 2 / width
        tops.add(int(rows[0]))
    assert min(tops) == 0
    assert len(tops) > 10
