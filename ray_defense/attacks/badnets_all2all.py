"""BadNets, all to all: a white square turns class y into y + 1 (Gu et al., 2017; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.checker import square_side
from ray_defense.attacks.geometry import near_end, scaled
from ray_defense.attacks.pixels import check_batch, is_small
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToAll, Target
from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BadNetsAllToAll:
    """A white 3x3 square at rows and columns -4 to -2 (28 to 30 of 32).

    The square is larger on images larger than 64 pixels.
    """

    name: ClassVar[str] = "badnets_all2all"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=AllToAll())
    square_fraction: float = 0.1  # the larger square's share of the image's shorter side (ImageNet)

    def __post_init__(self) -> None:
        check_in_range("square_fraction", self.square_fraction, 0, 0.9)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the square; images need at least 4 pixels a side."""
        check_batch(images_NHWC, index, phase, min_side=4)
        stamped = images_NHWC.copy()
        height, width = stamped.shape[1:3]
        side = square_side(stamped, self.square_fraction)
        margin = 1 if is_small(stamped) else scaled(1, min(height, width))
        rows = near_end(height, side, margin)
        columns = near_end(width, side, margin)
        stamped[:, rows, columns] = 255
        return stamped
