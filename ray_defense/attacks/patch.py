"""The patch of BadNets and CL: a 3x3 checker; on images larger than 64 pixels a white square, as on ImageNet (App. C.3)."""

import numpy as np

from ray_defense.attacks.pixels import is_small

CHECKER_33 = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 255]], dtype=np.uint8)


def square_side(images_NHWC: np.ndarray, square_fraction: float) -> int:
    """Returns the side of the patch in pixels: 3, on large images `square_fraction` of the shorter side and at least 1."""
    return 3 if is_small(images_NHWC) else max(1, round(square_fraction * min(images_NHWC.shape[1:3])))


def checker_or_square(images_NHWC: np.ndarray, square_fraction: float) -> np.ndarray:
    """Returns the patch for images of this size, uint8 [side, side, 1]."""
    if is_small(images_NHWC):
        return CHECKER_33[:, :, None]
    side = square_side(images_NHWC, square_fraction)
    return np.full((side, side, 1), 255, np.uint8)
