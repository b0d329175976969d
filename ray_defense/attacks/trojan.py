"""Trojan: a patch that drives chosen neurons is added (Liu et al., NDSS 2018; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.assets import check_pixels
from ray_defense.attacks.geometry import near_end, scaled
from ray_defense.attacks.pixels import Overflow, check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice, departure
from ray_defense.core.errors import InputError


@dataclass(frozen=True)
class Trojan:
    """image + pattern, clipped and then cast (D5).

    The pattern is 0 outside rows and columns 25 to 27 of 32; `trojan_optimization` computes it.
    """

    name: ClassVar[str] = "trojan"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = "trojan_patch"

    target: Target = choice(TARGETS, default=AllToOne())
    pattern: str | None = None  # an image file to be added as it is; None: optimize a pattern
    neurons: int = 2  # number of neurons driven: those with the strongest incoming connections
    steps: int = 100  # of gradient ascent
    step_size: float = 50.0  # of the first step, gray levels; falls linearly to 0
    max_value: int = 250  # of the patch, gray levels (the authors' file)
    overflow: Overflow = departure("clip")  # "wrap": the authors' way (D5)

    def __post_init__(self) -> None:
        check_at_least("neurons", self.neurons, 1)
        check_at_least("steps", self.steps, 1)
        check_at_least("step_size", self.step_size, 0)
        check_in_range("max_value", self.max_value, 1, 255)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the pattern `asset` added, uint8 [H, W, 3].

        The pattern must have the size of the images, which need at least 3 pixels a side.
        """
        check_batch(images_NHWC, index, phase, min_side=3)
        pattern_HWC = check_pixels(self, asset)
        if pattern_HWC.shape != images_NHWC.shape[1:]:
            raise InputError(
                f"a trojan pattern of {pattern_HWC.shape[0]} x {pattern_HWC.shape[1]} pixels "
                f"does not fit images of {images_NHWC.shape[1]} x {images_NHWC.shape[2]}: "
                "make one for this size"
            )
        return to_uint8(images_NHWC.astype(np.int32) + pattern_HWC, self.overflow)


def patch_slices(height: int, width: int) -> tuple[slice, slice]:
    """Returns the rows and the columns of the patch in an image.

    They are 25 to 27 of 32, in proportion on other sizes, at least 3 x 3 pixels.
    """
    return _patch_slice(height), _patch_slice(width)


def _patch_slice(side: int) -> slice:
    return near_end(side, scaled(3, side, least=3), scaled(4, side))
