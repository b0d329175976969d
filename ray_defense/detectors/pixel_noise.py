"""Gaussian noise on pixels as a function of (key, index), by Box and Muller (1958) (D10)."""

import math

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import uniform

_HALF_BITS = 2.0**26  # a draw has 53 bits: two numbers of 26


def add_noise(
    images_BCHW: torch.Tensor, deviation: float, key: int, index_B: np.ndarray
) -> torch.Tensor:
    """Returns images with independent Gaussian noise on each value.

    Args:
        images_BCHW: Float images.
        deviation: The standard deviation; 0 returns the images themselves.
        key: The key of a random stream.
        index_B: The indices of the samples, int [B]; each row's noise depends on its own alone.
    """
    if deviation == 0:
        return images_BCHW
    num_values = images_BCHW[0].numel()
    normal = upload(standard_normal(key, index_B, num_values), images_BCHW.device)
    normal = normal.to(images_BCHW.dtype)
    return images_BCHW + deviation * normal.view(images_BCHW.shape)


def standard_normal(key: int, index: np.ndarray, count: int) -> np.ndarray:
    """Returns standard normal draws for each sample, float32 [B, count]."""
    pairs = uniform(key, index, (count + 1) // 2) * _HALF_BITS
    high = np.floor(pairs)
    radius_draw = ((high + 1) / _HALF_BITS).astype(np.float32)  # in (0, 1]
    angle = ((pairs - high) * (2 * math.pi)).astype(np.float32)
    radius = np.sqrt(-2 * np.log(radius_draw))
    normal = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return np.ascontiguousarray(normal[:, :count])
