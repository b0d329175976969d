"""The augmentation of CIFAR-10, an image at a time."""

import torch

from ray_defense.transforms.crop import Crop
from ray_defense.transforms.crop_flip import CropFlip
from tests.support.transform_inputs import random_draws, random_images


def test_crop_flip_is_a_crop_mirrored_below_the_flip_fraction():
    images = random_images(1, 40)
    draws = random_draws(2, 40, 3)
    result = CropFlip().apply(images, draws)
    cropped = Crop().apply(images, draws[:, :2])
    for i in range(40):
        expected = cropped[i].flip(2) if draws[i, 2] < 0.5 else cropped[i]
        assert torch.equal(result[i], expected)
