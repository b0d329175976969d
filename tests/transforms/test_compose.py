"""Transforms one after another: what their draws depend on."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.core.random import stream, uniform
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS
from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.crop import Crop
from ray_defense.transforms.rotate import Rotate
from tests.support.transform_inputs import random_images

ALL_UNITS = {**TRANSFORMS, **AUGMENTATIONS}


@settings(max_examples=15, deadline=None)
@given(
    key=st.integers(0, 2**64 - 1),
    names=st.lists(st.sampled_from(sorted(ALL_UNITS)), max_size=3),
    order=st.permutations(range(5)),
)
def test_apply_all_depends_on_key_and_index_alone(key, names, order):
    transforms = [ALL_UNITS[name]() for name in names]
    images = random_images(13, 5, 16, 16)
    index = np.array([0, 7, 1_000_003, 2, 50])
    together = apply_all(transforms, images, key, index)
    assert torch.equal(apply_all(transforms, images, key, index), together)
    reordered = apply_all(transforms, images[order], key, index[order])
    torch.testing.assert_close(reordered, together[order], atol=1e-5, rtol=0)


def test_apply_all_draws_from_the_stream_of_position_and_name():
    images = random_images(14, 4)
    index = np.array([3, 1, 4, 1])
    expected = images
    for position in range(2):
        draws = torch.from_numpy(uniform(stream(5, position, "rotate"), index, 1)).float()
        expected = Rotate().apply(expected, draws)
    assert torch.equal(apply_all([Rotate(), Rotate()], images, 5, index), expected)


def test_another_position_and_another_key_give_other_draws():
    images = random_images(14, 4)
    index = np.array([3, 1, 4, 1])
    cropped_once = apply_all([Crop()], images, 5, index)
    cropped_twice = apply_all([Crop(), Crop()], images, 5, index)
    assert not torch.equal(cropped_twice, cropped_once)
    rotated = apply_all([Rotate()], images, 5, index)
    rotated_by_another_key = apply_all([Rotate()], images, 6, index)
    assert not torch.equal(rotated, rotated_by_another_key)


def test_no_transforms_give_the_images_themselves():
    images = random_images(14, 4)
    assert apply_all([], images, 5, np.array([3, 1, 4, 1])) is images
