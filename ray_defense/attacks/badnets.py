"""BadNets, all to one: a patch in the bottom-right corner (Gu et al., 2017; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.checker import checker_or_square
from ray_defense.attacks.pixels import check_batch
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BadNets:
    """A 3x3 checker in the bottom-right corner; on images larger than 64 pixels a white square."""

    name: ClassVar[str] = "badnets"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=AllToOne())
    square_fraction: float = 0.1  # the white square's share of the image's shorter side (ImageNet)

    def __post_init__(self) -> None:
        check_in_range("square_fraction", self.square_fraction, 0, 1)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the patch; images need at least 3 pixels a side."""
        check_batch(images_NHWC, index, phase, min_side=3)
        stamped = images_NHWC.copy()
        patch_SS1 = checker_or_square(stamped, self.square_fraction)
        stamped[:, -len(patch_SS1) :, -len(patch_SS1) :] = patch_SS1
        return stamped
