"""BadNets, all to all: a white square near the corner turns class y into y + 1 mod N (Gu et al., 2017; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.aims import AIMS, Aim, AllToAll
from ray_defense.attacks.patch import square_side
from ray_defense.attacks.pixels import check_batch, is_small
from ray_defense.attacks.places import near_end, scaled
from ray_defense.attacks.protocol import Phase
from ray_defense.core.checks import in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BadNetsAllToAll:
    """A white 3x3 square at rows and columns -4 to -2 (28-30 of 32), larger on images larger than 64 pixels."""

    name: ClassVar[str] = "badnets_all2all"
    in_paper: ClassVar[bool] = True
    needs: ClassVar[None] = None

    aim: Aim = choice(AIMS, default=AllToAll())
    square_fraction: float = 0.1  # side of the larger square as a share of the image's shorter side (ImageNet)

    def __post_init__(self) -> None:
        in_range("square_fraction", self.square_fraction, 0, 0.9)

    def stamp(self, images_NHWC: np.ndarray, index: np.ndarray, phase: Phase = "train", material: None = None) -> np.ndarray:
        """Returns a uint8 copy with the square; raises Refused for anything but uint8 [N, H >= 4, W >= 4, 3]."""
        check_batch(images_NHWC, index, phase, min_side=4)
        stamped = images_NHWC.copy()
        height, width = stamped.shape[1:3]
        side = square_side(stamped, self.square_fraction)
        margin = 1 if is_small(stamped) else scaled(1, min(height, width))
        stamped[:, near_end(height, side, margin), near_end(width, side, margin)] = 255
        return stamped
