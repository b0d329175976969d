"""Pixels in and out of an attack: uint8, checked on entry, clipped before they are cast on return (D5)."""

import numpy as np

from ray_defense.core.errors import Refused, unknown

SMALL_SIDE = 64  # pixels; above it the paper's ImageNet triggers apply instead of the CIFAR ones


def check_batch(images: np.ndarray, index: np.ndarray, phase: str, *, min_side: int = 1) -> None:
    """Raises Refused unless images are uint8 [N,H,W,3] of `min_side` or more, index int [N], a known phase."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        found = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
        raise Refused(f"images must be a uint8 array [N, H, W, 3], not {found}: repeat a gray channel three times")
    if min(images.shape[1:3]) < min_side:
        size = f"{images.shape[1]} x {images.shape[2]}"
        raise Refused(f"images of {size} pixels cannot hold the trigger: it needs {min_side} a side")
    index = np.asarray(index)
    if index.shape != images.shape[:1] or not np.issubdtype(index.dtype, np.integer):
        found = f"{index.dtype} {list(index.shape)}"
        raise Refused(f"index must hold one integer for each of the {len(images)} images, not {found}")
    if phase not in ("train", "cover", "test"):
        raise unknown("phase", phase, ("train", "cover", "test"))


def is_small(images: np.ndarray) -> bool:
    """Says whether images [N,H,W,3] get the CIFAR form of a trigger: shorter side of SMALL_SIDE pixels or less."""
    return min(images.shape[1:3]) <= SMALL_SIDE


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Returns float `pixels` clipped to [0, 255], then cast to uint8 (D5: casting first would wrap round)."""
    return np.clip(pixels, 0, 255).astype(np.uint8)
