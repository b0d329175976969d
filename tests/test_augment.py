"""Training augmentations: each step against torchvision, an image at a time."""

import itertools

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from ray_defense.transforms import Contrastive, Crop, CropFlip, CropFlipRotate, NoAugment, Rotate, RotateFlip
from ray_defense.transforms.color import BRIGHTNESS, CONTRAST, HUE, SATURATION, jitter, shift_hue
from ray_defense.transforms.resized_crop import ResizedCrop

ADJUST = {
    BRIGHTNESS: tv.adjust_brightness,
    CONTRAST: tv.adjust_contrast,
    SATURATION: tv.adjust_saturation,
    HUE: tv.adjust_hue,
}


def random_images(seed: int, batch: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((batch, 3, height, width), dtype=np.float32))


def random_draws(seed: int, batch: int, count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((batch, count), dtype=np.float32))


def random_factors(seed: int, batch: int) -> torch.Tensor:
    return torch.tensor([0.6, 0.6, 0.6, -0.1]) + torch.tensor([0.8, 0.8, 0.8, 0.2]) * random_draws(seed, batch, 4)


def test_none_changes_nothing():
    images = random_images(0, 2)
    assert NoAugment().apply(images, torch.empty(2, 0)) is images


def test_crop_flip_is_a_crop_mirrored_below_the_flip_fraction():
    images, draws = random_images(1, 40), random_draws(2, 40, 3)
    result, cropped = CropFlip().apply(images, draws), Crop().apply(images, draws[:, :2])
    for i in range(40):
        assert torch.equal(result[i], cropped[i].flip(2) if draws[i, 2] < 0.5 else cropped[i])


def test_crop_flip_rotate_turns_by_at_most_15_degrees_after_crop_and_flip():
    images, draws = random_images(3, 20), random_draws(4, 20, 4)
    expected = Rotate(degrees=15).apply(CropFlip().apply(images, draws[:, :3]), draws[:, 3:])
    assert torch.equal(CropFlipRotate().apply(images, draws), expected)


def test_rotate_flip_is_torchvisions_rotation_by_at_most_20_degrees_mirrored_below_the_flip_fraction():
    images, draws = random_images(16, 40, 21, 30), random_draws(17, 40, 2)
    result = RotateFlip().apply(images, draws)
    for i in range(40):
        expected = tv.rotate(images[i], 40 * float(draws[i, 0]) - 20)  # nearest, black outside
        expected = expected.flip(2) if draws[i, 1] < 0.5 else expected
        # torchvision's grid differs from ours in the last bits, so a pixel on an edge may go either way
        assert (result[i] != expected).any(0).float().mean() < 0.005


def test_rotate_flip_of_no_angle_leaves_or_mirrors_every_bit():
    images, draws = random_images(18, 8), random_draws(19, 8, 2)
    assert torch.equal(RotateFlip(degrees=0, flip_fraction=0).apply(images, draws), images)
    assert torch.equal(RotateFlip(degrees=0, flip_fraction=1).apply(images, draws), images.flip(3))


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
    images, factors = random_images(7, 24, 9, 9), random_factors(8, 24)
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
    assert torch.equal(jitter(images, factors, torch.tensor([[3, 1, 0, 2]]).repeat(4, 1)), images)


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_resized_crop_is_torchvisions_crop_and_bilinear_resize_of_the_same_box(size):
    images, crop = random_images(11, 60, *size), ResizedCrop()
    draws = random_draws(12, 60, crop.num_draws)
    result = crop.apply(images, draws)
    height, width = size
    for i in range(60):
        rows, columns = height, width
        for area, ratio in zip(draws[i, :10].double(), draws[i, 10:20].double(), strict=True):
            pixels = (0.2 + 0.8 * float(area)) * height * width
            aspect = (3 / 4) ** (1 - 2 * float(ratio))
            new_columns, new_rows = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
            if new_rows <= height and new_columns <= width:
                rows, columns = new_rows, new_columns
                break
        top, left = int(draws[i, 20] * (height - rows + 1)), int(draws[i, 21] * (width - columns + 1))
        expected = tv.resized_crop(images[i], top, left, rows, columns, list(size))
        expected = expected.flip(2) if draws[i, 22] < 0.5 else expected
        torch.testing.assert_close(result[i], expected, atol=2e-5, rtol=0)


def test_contrastive_composes_crop_jitter_and_gray_draw_by_draw():
    images, view = random_images(13, 80, 16, 16), Contrastive()
    draws = random_draws(14, 80, view.num_draws)
    result = view.apply(images, draws)
    cropped = ResizedCrop().apply(images, draws[:, :23])
    orders = list(itertools.permutations(range(4)))
    for i in range(80):
        expected, own = cropped[i], [float(draw) for draw in draws[i, 23:]]
        factors = [0.6 + 0.8 * own[0], 0.6 + 0.8 * own[1], 0.6 + 0.8 * own[2], -0.1 + 0.2 * own[3]]
        if own[5] < 0.8:
            for operation in orders[int(own[4] * 24)]:
                expected = ADJUST[operation](expected, factors[operation])
        if own[6] < 0.2:
            expected = tv.rgb_to_grayscale(expected, num_output_channels=3)
        torch.testing.assert_close(result[i], expected, atol=5e-5, rtol=0)


def test_contrastive_without_flip_never_mirrors():
    ramp = torch.linspace(0, 1, 32).expand(200, 3, 32, 32).contiguous()
    draws = random_draws(15, 200, Contrastive.num_draws)
    rising = (Contrastive(flip=False).apply(ramp, draws).diff(dim=3) >= -1e-5).all(dim=3)
    assert rising.all()
    assert not (Contrastive(flip=True).apply(ramp, draws).diff(dim=3) >= -1e-5).all()
