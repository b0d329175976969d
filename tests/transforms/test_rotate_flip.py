"""The augmentation of ImageNet against torchvision, an image at a time."""

import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.rotate_flip import RotateFlip
from tests.support.transform_inputs import random_draws, random_images


def test_rotate_flip_is_torchvisions_rotation_by_20_degrees_mirrored_below_the_flip_fraction():
    images = random_images(16, 40, 21, 30)
    draws = random_draws(17, 40, 2)
    result = RotateFlip().apply(images, draws)
    for i in range(40):
        expected = tv.rotate(images[i], 40 * float(draws[i, 0]) - 20)  # nearest, black outside
        if draws[i, 1] < 0.5:
            expected = expected.flip(2)
        # The grid of torchvision differs in the last bits: a pixel on an edge may go either way.
        assert (result[i] != expected).any(0).float().mean() < 0.005


def test_rotate_flip_of_no_angle_leaves_or_mirrors_every_bit():
    images = random_images(18, 8)
    draws = random_draws(19, 8, 2)
    unmirrored = RotateFlip(degrees=0, flip_fraction=0).apply(images, draws)
    assert torch.equal(unmirrored, images)
    mirrored = RotateFlip(degrees=0, flip_fraction=1).apply(images, draws)
    assert torch.equal(mirrored, images.flip(3))
