"""Resized crops against torchvision, an image at a time."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.resized_crop import ResizedCrop
from tests.support.transform_inputs import random_draws, random_images


def first_box_that_fits(draws: torch.Tensor, height: int, width: int) -> tuple[int, int]:
    """Returns rows and columns of the box that torchvision's rule takes, or the whole image."""
    areas = draws[:10].double()
    ratios = draws[10:20].double()
    for area, ratio in zip(areas, ratios, strict=True):
        pixels = (0.2 + 0.8 * float(area)) * height * width
        aspect = (3 / 4) ** (1 - 2 * float(ratio))
        columns = round((pixels * aspect) ** 0.5)
        rows = round((pixels / aspect) ** 0.5)
        if rows <= height and columns <= width:
            return rows, columns
    return height, width


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_resized_crop_is_torchvisions_crop_and_bilinear_resize_of_the_same_box(size):
    height, width = size
    images = random_images(11, 60, height, width)
    draws = random_draws(12, 60, ResizedCrop.num_draws)
    result = ResizedCrop().apply(images, draws)
    for i in range(60):
        rows, columns = first_box_that_fits(draws[i], height, width)
        top = int(draws[i, 20] * (height - rows + 1))
        left = int(draws[i, 21] * (width - columns + 1))
        expected = tv.resized_crop(
            images[i], top, left, height=rows, width=columns, size=[height, width]
        )
        if draws[i, 22] < 0.5:
            expected = expected.flip(2)
        torch.testing.assert_close(result[i], expected, atol=2e-5, rtol=0)
