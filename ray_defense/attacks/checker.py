"""The patch of BadNets and CL: a 3x3 checker; on large images a white square (App. C.3)."""

import numpy as np

from ray_defense.attacks.pixels import is_small

CHECKER_33 = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 255]], dtype=np.uint8)


def square_side(images_NHWC: np.ndarray, square_fraction: float) -> int:
    """Returns the side of the patch in pixels.

    Args:
        images_NHWC: Images of the size in question.
        square_fraction: The side as a share of the shorter side of large images.

    Returns:
        3 on small images; on large ones the given share, at least 1.
    """
    if is_small(images_NHWC):
        return 3
    shorter_side: int = min(images_NHWC.shape[1:3])
    return max(1, round(square_fraction * shorter_side))


def checker_or_square(images_NHWC: np.ndarray, square_fraction: float) -> np.ndarray:
    """Returns the patch for images of this size, uint8 [side, side, 1] (see `square_side`)."""
    if is_small(images_NHWC):
        return CHECKER_33[:, :, None]
    side = square_side(images_NHWC, square_fraction)
    return np.full((side, side, 1), 255, np.uint8)
