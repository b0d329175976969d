"""WaNet: its field, its resampling and its noise (Nguyen and Tran, ICLR 2021)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks.wanet import WaNet
from tests.support.assets import random_images
from tests.support.stamping import PHASES, by_pixel, stamp


def shift_from_upright(grid_HW2: torch.Tensor) -> torch.Tensor:
    """Returns how far a square grid moves each pixel, [H, W, 2], in units of 1 / side."""
    side = len(grid_HW2)
    upright = torch.linspace(-1, 1, side, dtype=torch.float64)
    shift_x = grid_HW2[:, :, 0] - upright
    shift_y = grid_HW2[:, :, 1] - upright[:, None]
    return torch.stack([shift_x, shift_y], dim=-1) * side


def ramp(count: int, step: int) -> np.ndarray:
    """Returns images uint8 [count, 32, 32, 3] that grow by `step` from column to column."""
    row = np.arange(0, 32 * step, step, dtype=np.uint8)
    return np.broadcast_to(row[None, None, :, None], (count, 32, 32, 3))


def test_the_wanet_field_passes_through_control_points_of_mean_size_s_over_the_side():
    shift = shift_from_upright(WaNet(seed=2).grid(34, 34)[0])
    control = shift[::11, ::11]  # 33 = 3 x 11: every eleventh pixel is a control point
    inside = control[1:3, 1:3].abs().mean()  # those at the border are clamped
    assert 0.2 < inside < 1.0
    assert control.abs().mean() <= 0.5
    doubled = shift_from_upright(WaNet(seed=2, strength=1.0).grid(34, 34)[0])
    torch.testing.assert_close(doubled[5:29, 5:29], 2 * shift[5:29, 5:29])


@pytest.mark.parametrize("size", [(32, 32), (28, 45)])
def test_wanet_takes_each_pixel_from_its_place_in_the_field_by_bilinear_blending(size):
    image = random_images(26, 1, *size)
    attack = WaNet(seed=1)
    grid = attack.grid(*size)[0].numpy()

    def value(old, row, column, channel):
        x, y = (grid[row, column] + 1) / 2 * (size[1] - 1, size[0] - 1)
        total = 0.0
        for down in (math.floor(y), math.floor(y) + 1):
            for right in (math.floor(x), math.floor(x) + 1):
                if 0 <= down < size[0] and 0 <= right < size[1]:
                    weight = (1 - abs(y - down)) * (1 - abs(x - right))
                    total += weight * float(image[0, down, right, channel])
        return round(total)

    np.testing.assert_array_equal(stamp(attack, image)[0], by_pixel(image[0], value))
    np.testing.assert_array_equal(stamp(attack, image, phase="test"), stamp(attack, image))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), value=st.integers(0, 255), phase=st.sampled_from(PHASES))
def test_wanet_leaves_a_flat_image_flat_and_moves_nothing_by_two_pixels(seed, value, phase):
    flat = np.full((2, 32, 32, 3), value, np.uint8)
    assert (stamp(WaNet(seed=seed), flat, phase=phase) == value).all()
    images = ramp(2, 4)
    moved = stamp(WaNet(seed=seed), images, phase=phase).astype(int) - images
    assert 1 <= np.abs(moved).max() <= 8  # four gray levels a pixel


def test_wanet_covers_get_noise_of_half_a_pixel_of_their_own():
    train = stamp(WaNet(), ramp(3, 8), phase="train").astype(int)
    cover = stamp(WaNet(), ramp(3, 8), phase="cover").astype(int)
    assert (train[0] == train[1]).all()
    noise = (cover - train)[:, :, 2:-2]
    assert np.abs(noise).max() <= 5
    assert noise.std() > 1.5
    assert abs(noise.mean()) < 0.2
    assert (cover[0] != cover[1]).mean() > 0.5
    assert (cover[1] != cover[2]).mean() > 0.5
