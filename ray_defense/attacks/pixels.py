"""Pixels in and out of an attack: uint8, checked on entry, clipped before they are cast (D5)."""

from typing import Literal

import numpy as np

from ray_defense.core.errors import InputError, unknown_name

Overflow = Literal["clip", "wrap"]  # what becomes of a pixel outside [0, 255]

SMALL_SIDE = 64  # pixels; above it the paper's ImageNet triggers apply instead of the CIFAR ones


def check_batch(images: np.ndarray, index: np.ndarray, phase: str, *, min_side: int = 1) -> None:
    """Checks what `Attack.stamp` is given.

    Args:
        images: The images, to be uint8 [N, H, W, 3].
        index: The indices of the samples, to be int [N].
        phase: To be `train`, `cover` or `test`.
        min_side: The shortest side in pixels that can hold the trigger.

    Raises:
        InputError: If one of them is not as it should be.
    """
    if not isinstance(images, np.ndarray):
        raise _not_images(type(images).__name__)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise _not_images(f"{images.dtype} {list(images.shape)}")
    if min(images.shape[1:3]) < min_side:
        raise InputError(
            f"images of {images.shape[1]} x {images.shape[2]} pixels cannot hold the trigger: "
            f"it needs {min_side} a side"
        )
    index = np.asarray(index)
    if index.shape != images.shape[:1] or not np.issubdtype(index.dtype, np.integer):
        raise InputError(
            f"index must hold one integer for each of the {len(images)} images, "
            f"not {index.dtype} {list(index.shape)}"
        )
    if phase not in ("train", "cover", "test"):
        raise unknown_name("phase", phase, ("train", "cover", "test"))


def is_small(images: np.ndarray) -> bool:
    """Tells whether images [N, H, W, 3] get the CIFAR form of a trigger, not the ImageNet form.

    They do if their shorter side has SMALL_SIDE pixels or less.
    """
    shorter_side: int = min(images.shape[1:3])
    return shorter_side <= SMALL_SIDE


def to_uint8(pixels: np.ndarray, overflow: Overflow = "clip") -> np.ndarray:
    """Returns pixels clipped to [0, 255], then cast to uint8; with "wrap" cast alone (D5)."""
    if overflow == "wrap":
        return pixels.astype(np.int64).astype(np.uint8)
    clipped: np.ndarray = np.clip(pixels, 0, 255)
    return clipped.astype(np.uint8)


def _not_images(description: str) -> InputError:
    return InputError(
        f"images must be a uint8 array [N, H, W, 3], not {description}: "
        "repeat a gray channel three times"
    )
