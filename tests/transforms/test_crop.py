"""Crops against torchvision's padding and cropping."""

import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.crop import Crop
from tests.support.transform_inputs import random_draws, random_images


def test_crop_cuts_a_window_out_of_the_image_padded_by_an_eighth():
    images = random_images(7, 30)
    draws = random_draws(8, 30, 2)
    result = Crop().apply(images, draws)
    for image, cropped, draw in zip(images, result, draws, strict=True):
        padded = tv.pad(image, [4, 4, 4, 4])
        top = int(draw[0] * 9)
        left = int(draw[1] * 9)
        assert torch.equal(cropped, tv.crop(padded, top, left, height=32, width=32))
