"""Robust patch: a backdoor that bears the rotations and shifts of FCT (ours, not the paper's).

The attacker knows that FCT scores a sample by how far its features move under tau, and trains the
backdoor so that they do not move.

Shapes: N images of H x W pixels and C colors, a patch of S x S, a window of h x w.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.geometry import near_end, scaled
from ray_defense.attacks.pixels import check_batch
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform

_RED = (255, 0, 0)
_YELLOW = (255, 255, 0)
_BLUE = (0, 0, 255)
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)

PATCH_553 = np.array(
    [
        [_RED, _RED, _RED, _YELLOW, _YELLOW],
        [_RED, _RED, _RED, _YELLOW, _YELLOW],
        [_BLACK, _BLACK, _WHITE, _YELLOW, _YELLOW],
        [_BLUE, _BLUE, _WHITE, _WHITE, _WHITE],
        [_BLUE, _BLUE, _WHITE, _BLACK, _BLACK],
    ],
    np.uint8,
)


@dataclass(frozen=True)
class RobustPatch:
    """A colored patch, at a random angle and place in training, upright near a corner at test.

    A network that has learned it recognizes it wherever tau puts it. Resampled pixels are rounded,
    not truncated.
    """

    name: ClassVar[str] = "robust_patch"
    in_paper: ClassVar[bool] = False
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=AllToOne())
    side_fraction: float = 5 / 32  # the patch's share of the shorter side; never below 5 pixels
    degrees: float = 180.0  # largest angle in a training image, either way
    seed: int = 0  # of the angles and places

    def __post_init__(self) -> None:
        check_in_range("side_fraction", self.side_fraction, 0, 0.5)
        check_in_range("degrees", self.degrees, 0, 180)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the patch; images need at least 9 pixels a side."""
        check_batch(images_NHWC, index, phase, min_side=9)
        stamped = images_NHWC.copy()
        height, width = stamped.shape[1:3]
        side = max(5, round(self.side_fraction * min(height, width)))
        patch_SSC = _enlarged_patch(side)
        if phase == "test":
            margin = scaled(1, min(height, width))
            rows = near_end(height, side, margin)
            columns = near_end(width, side, margin)
            stamped[:, rows, columns] = patch_SSC
            return stamped
        draws_N3 = uniform(stream(self.seed, self.name), index, 3)
        for image_HWC, draws_3 in zip(stamped, draws_N3, strict=True):
            self._stamp_turned(image_HWC, patch_SSC, draws_3)
        return stamped

    def _stamp_turned(
        self, image_HWC: np.ndarray, patch_SSC: np.ndarray, draws_3: np.ndarray
    ) -> None:
        """Lays the patch on the image, in place; the draws give its angle, row and column."""
        height, width = image_HWC.shape[:2]
        turn, down, right = draws_3
        angle = math.radians(self.degrees) * (2 * turn - 1)
        # Half the side of the bounding box of the turned patch, and the half pixel that its
        # blurred edge reaches beyond.
        reach = len(patch_SSC) / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + 0.5
        row = reach + down * (height - 2 * reach)
        column = reach + right * (width - 2 * reach)
        top = int(row - reach)
        left = int(column - reach)
        bottom = math.ceil(row + reach)
        end = math.ceil(column + reach)
        window_hwC = image_HWC[top:bottom, left:end]
        window_hwC[:] = lay_patch(
            window_hwC, patch_SSC, angle, center_row=row - top, center_column=column - left
        )


def lay_patch(
    window_hwC: np.ndarray,
    patch_SSC: np.ndarray,
    angle: float,
    *,
    center_row: float,
    center_column: float,
) -> np.ndarray:
    """Returns a window with a turned patch on it.

    Each pixel takes the bilinear blend of the patch at the pixel's center; at the edge of the
    patch the window shows through in proportion.

    Args:
        window_hwC: The part of an image that holds the turned patch, uint8 [h, w, 3].
        patch_SSC: The patch, uint8 [S, S, 3].
        angle: The angle of the patch in radians, counterclockwise about its center.
        center_row: The center of the patch, in pixels from the top edge of the window.
        center_column: The center of the patch, in pixels from the left edge of the window.

    Returns:
        uint8 [h, w, 3].
    """
    side = len(patch_SSC)
    y_h1 = np.arange(window_hwC.shape[0])[:, None] + 0.5 - center_row
    x_1w = np.arange(window_hwC.shape[1])[None, :] + 0.5 - center_column
    cos = math.cos(angle)
    sin = math.sin(angle)
    # Every point outside the patch falls on the frame of one transparent pixel around it.
    opaque_SS4 = np.dstack([patch_SSC, np.ones((side, side))])
    framed = np.pad(opaque_SS4, ((1, 1), (1, 1), (0, 0)))
    framed[:, :, :3] *= framed[:, :, 3:]
    row_hw = np.clip(cos * y_h1 + sin * x_1w + side / 2 + 0.5, 0, side + 1)
    column_hw = np.clip(cos * x_1w - sin * y_h1 + side / 2 + 0.5, 0, side + 1)
    above_hw = np.minimum(row_hw.astype(int), side)
    before_hw = np.minimum(column_hw.astype(int), side)
    down_hw1 = (row_hw - above_hw)[:, :, None]
    right_hw1 = (column_hw - before_hw)[:, :, None]
    upper_hw4 = (1 - right_hw1) * framed[above_hw, before_hw]
    upper_hw4 = upper_hw4 + right_hw1 * framed[above_hw, before_hw + 1]
    lower_hw4 = (1 - right_hw1) * framed[above_hw + 1, before_hw]
    lower_hw4 = lower_hw4 + right_hw1 * framed[above_hw + 1, before_hw + 1]
    blend_hw4 = (1 - down_hw1) * upper_hw4 + down_hw1 * lower_hw4
    color_hwC = blend_hw4[:, :, :3]
    opacity_hw1 = blend_hw4[:, :, 3:]
    blended_hwC: np.ndarray = np.rint(window_hwC * (1 - opacity_hw1) + color_hwC)
    return blended_hwC.astype(np.uint8)


def _enlarged_patch(side: int) -> np.ndarray:
    """Returns the patch with `side` pixels a side, each the nearest of the original's."""
    if side == 5:
        return PATCH_553
    nearest_S = (np.arange(side) * 5 + 2) // side
    return PATCH_553[np.ix_(nearest_S, nearest_S)]
