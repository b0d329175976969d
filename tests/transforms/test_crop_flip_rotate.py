"""The augmentation of CIFAR-100."""

import torch

from ray_defense.transforms.crop_flip import CropFlip
from ray_defense.transforms.crop_flip_rotate import CropFlipRotate
from ray_defense.transforms.rotate import Rotate
from tests.support.transform_inputs import random_draws, random_images


def test_crop_flip_rotate_turns_by_at_most_15_degrees_after_crop_and_flip():
    images = random_images(3, 20)
    draws = random_draws(4, 20, 4)
    flipped = CropFlip().apply(images, draws[:, :3])
    expected = Rotate(degrees=15).apply(flipped, draws[:, 3:])
    assert torch.equal(CropFlipRotate().apply(images, draws), expected)
