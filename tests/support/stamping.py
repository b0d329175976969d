"""Stamping in tests of attacks, and the pixels that a formula asks for, computed one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ray_defense.attacks.protocol import Attack
from tests.support.assets import asset_for

PHASES = ("train", "cover", "test")


def stamp(
    attack: Attack,
    images: np.ndarray,
    *,
    phase: str = "train",
    asset: Any = None,
) -> np.ndarray:
    """Returns the attack's images, numbered from 0, stamped with the given or a tiny asset."""
    if asset is None:
        asset = asset_for(attack, *images.shape[1:3])
    return attack.stamp(images, np.arange(len(images)), phase, asset=asset)


def by_pixel(image: np.ndarray, new_value: Callable[[float, int, int, int], float]) -> np.ndarray:
    """Returns the image with new_value(old, row, column, channel), clipped and then truncated."""
    stamped = np.zeros_like(image)
    for row, column, channel in np.ndindex(image.shape):
        old = float(image[row, column, channel])
        new = new_value(old, row, column, channel)
        stamped[row, column, channel] = int(min(max(new, 0.0), 255.0))
    return stamped
