"""No augmentation."""

import torch

from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.transform_inputs import random_images


def test_none_changes_nothing():
    images = random_images(0, 2)
    assert NoAugment().apply(images, torch.empty(2, 0)) is images
