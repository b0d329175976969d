"""Blur against torchvision."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.blur import Blur
from tests.support.transform_inputs import random_draws, random_images


# A kernel's sides are in torchvision's order: x before y.
@pytest.mark.parametrize(
    ("size", "kernel"),
    [((32, 32), (15, 15)), ((9, 12), (15, 15)), ((5, 32), (15, 9)), ((1, 4), (7, 1))],
)
def test_blur_is_torchvisions_gaussian_blur(size, kernel):
    images = random_images(10, 12, *size)
    draws = random_draws(11, 12, 1)
    result = Blur().apply(images, draws)
    for image, blurred, draw in zip(images, result, draws[:, 0], strict=True):
        sigma = 0.1 + 1.9 * float(draw)
        expected = tv.gaussian_blur(image, list(kernel), [sigma, sigma])
        torch.testing.assert_close(blurred, expected, atol=1e-5, rtol=0)
