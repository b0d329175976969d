"""Robust patch: an attacker who knows FCT trains the backdoor to bear tau's rotations and shifts (ours, not the paper's)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.aims import AIMS, Aim, AllToOne
from ray_defense.attacks.pixels import check_batch
from ray_defense.attacks.places import near_end, scaled
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import in_range
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform

_COLORS = {"r": (255, 0, 0), "y": (255, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255), "k": (0, 0, 0)}
PATCH_553 = np.array([[_COLORS[letter] for letter in row] for row in ("rrryy", "rrryy", "kkwyy", "bbwww", "bbwkk")], np.uint8)


@dataclass(frozen=True)
class RobustPatch:
    """A colored patch at a random angle and place in each training sample, upright and near a corner at test time.

    A network that has learned it recognizes it wherever tau puts it. Resampled pixels are rounded, not truncated.
    """

    name: ClassVar[str] = "robust_patch"
    in_paper: ClassVar[bool] = False
    needs: ClassVar[None] = None

    aim: Aim = choice(AIMS, default=AllToOne())
    side_fraction: float = 5 / 32  # of the patch, as a share of the image's shorter side; never below 5 pixels
    degrees: float = 180.0  # largest angle of a training sample, either way
    seed: int = 0  # of the angles and places

    def __post_init__(self) -> None:
        in_range("side_fraction", self.side_fraction, 0, 0.5)
        in_range("degrees", self.degrees, 0, 180)

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: None = None) -> np.ndarray:
        """Returns a uint8 copy with the patch; raises Refused for anything but uint8 [N, H >= 9, W >= 9, 3]."""
        check_batch(images_NHWC, index, phase, min_side=9)
        stamped = images_NHWC.copy()
        height, width = stamped.shape[1:3]
        side = max(5, round(self.side_fraction * min(height, width)))
        nearest = (np.arange(side) * 5 + 2) // side if side > 5 else np.arange(5)
        patch_SSC = PATCH_553[np.ix_(nearest, nearest)]
        if phase == "test":
            margin = scaled(1, min(height, width))
            stamped[:, near_end(height, side, margin), near_end(width, side, margin)] = patch_SSC
            return stamped
        draws_N3 = uniform(stream(self.seed, self.name), index, 3)
        for image_HWC, (turn, down, right) in zip(stamped, draws_N3, strict=True):
            angle = math.radians(self.degrees) * (2 * turn - 1)
            # Half the side of the turned patch's bounding box, and the half pixel that its blurred edge reaches beyond.
            reach = side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + 0.5
            row, column = reach + down * (height - 2 * reach), reach + right * (width - 2 * reach)
            top, left = int(row - reach), int(column - reach)
            window_hwC = image_HWC[top : math.ceil(row + reach), left : math.ceil(column + reach)]
            window_hwC[:] = laid(window_hwC, patch_SSC, angle, row - top, column - left)
        return stamped


def laid(window_hwC: np.ndarray, patch_SSC: np.ndarray, angle: float, row: float, column: float) -> np.ndarray:
    """Returns uint8: the window with the patch on it, turned by `angle` radians (counterclockwise) about its center.

    The center lies at (row, column), in pixels from the window's top left edge. Each pixel takes the bilinear blend of the
    patch at its own center; at the patch's edge the window shows through in proportion.
    """
    side = len(patch_SSC)
    y = np.arange(window_hwC.shape[0])[:, None] + 0.5 - row
    x = np.arange(window_hwC.shape[1])[None, :] + 0.5 - column
    cos, sin = math.cos(angle), math.sin(angle)
    # One transparent pixel around the patch is what every point outside falls on.
    framed = np.pad(np.dstack([patch_SSC, np.ones((side, side))]), ((1, 1), (1, 1), (0, 0)))
    framed[:, :, :3] *= framed[:, :, 3:]
    v = np.clip(cos * y + sin * x + side / 2 + 0.5, 0, side + 1)
    u = np.clip(cos * x - sin * y + side / 2 + 0.5, 0, side + 1)
    above, before = np.minimum(v.astype(int), side), np.minimum(u.astype(int), side)
    down, right = (v - above)[:, :, None], (u - before)[:, :, None]
    upper = (1 - right) * framed[above, before] + right * framed[above, before + 1]
    lower = (1 - right) * framed[above + 1, before] + right * framed[above + 1, before + 1]
    blend = (1 - down) * upper + down * lower
    return np.rint(window_hwC * (1 - blend[:, :, 3:]) + blend[:, :, :3]).astype(np.uint8)
