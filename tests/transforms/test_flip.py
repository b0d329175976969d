"""Mirror images."""

import numpy as np
import torch

from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.flip import Flip
from tests.support.transform_inputs import random_images


def test_flip_mirrors_columns_and_twice_is_nothing():
    images = random_images(9, 3)
    flipped = apply_all([Flip()], images, key=1, index_B=np.arange(3))
    assert torch.equal(flipped[:, :, :, 0], images[:, :, :, 31])
    flipped_twice = apply_all([Flip(), Flip()], images, key=1, index_B=np.arange(3))
    assert torch.equal(flipped_twice, images)
