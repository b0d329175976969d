"""Color jitter against torchvision, an image and an operation at a time."""

import itertools

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.color import BRIGHTNESS, CONTRAST, HUE, SATURATION, jitter, shift_hue
from tests.support.color_operations import ADJUST
from tests.support.transform_inputs import random_draws, random_images


def random_factors(seed: int, batch: int) -> torch.Tensor:
    low = torch.tensor([0.6, 0.6, 0.6, -0.1])
    span = torch.tensor([0.8, 0.8, 0.8, 0.2])
    return low + span * random_draws(seed, batch, 4)


@pytest.mark.parametrize("operation", [BRIGHTNESS, CONTRAST, SATURATION, HUE])
def test_each_color_operation_alone_is_torchvisions(operation):
    images = random_images(5, 16, 12, 10)
    images[0] = 0.5
    images[1] = 0.0
    images[2] = 1.0
    factors = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(16, 1)
    factors[:, operation] = random_factors(6, 16)[:, operation]
    result = jitter(images, factors, torch.arange(4).repeat(16, 1))
    for i in range(16):
        expected = ADJUST[operation](images[i], float(factors[i, operation]))
        torch.testing.assert_close(result[i], expected, atol=1e-5, rtol=0)


def test_the_four_color_operations_are_torchvisions_in_every_order():
    orders = torch.tensor(list(itertools.permutations(range(4))))
    images = random_images(7, 24, 9, 9)
    factors = random_factors(8, 24)
    result = jitter(images, factors, orders)
    for i, order in enumerate(orders.tolist()):
        expected = images[i]
        for operation in order:
            expected = ADJUST[operation](expected, float(factors[i, operation]))
        torch.testing.assert_close(result[i], expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 1 / 3, 0.5])
def test_a_hue_shift_turns_the_color_circle_and_leaves_gray_alone(shift):
    images = random_images(9, 4)
    images[0] = images[0, :1]
    images[1, 1] = images[1, 0]
    shifted = shift_hue(images, torch.full((4,), shift))
    torch.testing.assert_close(shifted[0], images[0])
    for i in range(4):
        torch.testing.assert_close(shifted[i], tv.adjust_hue(images[i], shift), atol=1e-5, rtol=0)


def test_neutral_factors_change_no_bit():
    images = random_images(10, 4)
    factors = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(4, 1)
    orders = torch.tensor([[3, 1, 0, 2]]).repeat(4, 1)
    assert torch.equal(jitter(images, factors, orders), images)
