"""Views of images: bytes become floats, and random transforms depend on key and index alone."""

import numpy as np
import torch

from ray_defense.core.random import stream
from ray_defense.training.views import make_view, to_float
from ray_defense.transforms.affine import Affine
from ray_defense.transforms.crop_flip import CropFlip
from ray_defense.transforms.rotate import Rotate
from tests.support.noise import noise_images
from tests.support.steps import HALF

INDEX = np.array([9, 4, 1000, 7, 0, 12])
TRANSFORMS = (Rotate(), Affine(), CropFlip())


def random_view(images: torch.Tensor, index: np.ndarray, seed: int = 0) -> torch.Tensor:
    return make_view(images, index, stream(seed, "view"), transforms=TRANSFORMS, normalization=HALF)


def test_bytes_become_the_unit_interval_channel_first():
    images = torch.arange(0, 256, dtype=torch.uint8)[: 2 * 4 * 5 * 3].reshape(2, 4, 5, 3)
    as_float = to_float(images)
    assert as_float.shape == (2, 3, 4, 5)
    assert as_float.dtype == torch.float32
    assert as_float[1, 2, 3, 4] == images[1, 3, 4, 2] / 255
    assert to_float(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)).max() == 1


def test_a_view_depends_on_key_and_index_alone():
    images = torch.from_numpy(noise_images(3, np.arange(6)))
    whole = random_view(images, INDEX)
    order = [3, 0, 5]
    assert torch.equal(random_view(images[order], INDEX[order]), whole[order])
    assert not torch.equal(random_view(images, INDEX, seed=1), whole)


def test_the_views_of_equal_images_differ_by_index():
    image = torch.from_numpy(noise_images(3, np.arange(1)))
    views = random_view(image.expand(6, -1, -1, -1), INDEX)
    assert len({tuple(view.flatten().tolist()) for view in views}) == 6


def test_a_view_without_transforms_is_the_normalized_image():
    images = torch.from_numpy(noise_images(3, np.arange(6)))
    view = make_view(images, INDEX, 5, transforms=(), normalization=HALF)
    assert torch.equal(view, HALF.apply(to_float(images)))
