"""The views of SS-CTL, draw by draw."""

import itertools

import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.resized_crop import ResizedCrop
from tests.support.color_operations import ADJUST
from tests.support.transform_inputs import random_draws, random_images


def test_contrastive_composes_crop_jitter_and_gray_draw_by_draw():
    images = random_images(13, 80, 16, 16)
    draws = random_draws(14, 80, Contrastive.num_draws)
    result = Contrastive().apply(images, draws)
    cropped = ResizedCrop().apply(images, draws[:, :23])
    orders = list(itertools.permutations(range(4)))
    for i in range(80):
        expected = cropped[i]
        brightness, contrast, saturation, hue, order, jittered, gray = draws[i, 23:].tolist()
        factors = [
            0.6 + 0.8 * brightness,
            0.6 + 0.8 * contrast,
            0.6 + 0.8 * saturation,
            -0.1 + 0.2 * hue,
        ]
        if jittered < 0.8:
            for operation in orders[int(order * 24)]:
                expected = ADJUST[operation](expected, factors[operation])
        if gray < 0.2:
            expected = tv.rgb_to_grayscale(expected, num_output_channels=3)
        torch.testing.assert_close(result[i], expected, atol=5e-5, rtol=0)


def test_contrastive_without_flip_never_mirrors():
    ramp = torch.linspace(0, 1, 32).expand(200, 3, 32, 32).contiguous()
    draws = random_draws(15, 200, Contrastive.num_draws)
    unmirrored = Contrastive(flip=False).apply(ramp, draws)
    assert (unmirrored.diff(dim=3) >= -1e-5).all()
    mirrored = Contrastive(flip=True).apply(ramp, draws)
    assert not (mirrored.diff(dim=3) >= -1e-5).all()
