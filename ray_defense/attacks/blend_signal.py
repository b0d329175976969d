"""Blend-Signal (strip): vertical stripes blended into the image (Chen et al., 2017; App. C.3)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.attacks.pixels import check_batch, is_small, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice


@dataclass(frozen=True)
class BlendSignal:
    """0.8 image + 0.2 strip, the same strip on every row.

    The strip is dark and bright columns in turn; on images larger than 64 pixels it is a sine over
    the columns.
    """

    name: ClassVar[str] = "blend_signal"
    in_paper: ClassVar[bool] = True
    requires: ClassVar[str | None] = None

    target: Target = choice(TARGETS, default=AllToOne())
    opacity: float = 0.2  # weight of the strip; the image has the rest
    stripe_px: int = 4  # width of a dark (0) and of a bright (255) stripe, pixels
    amplitude: float = 20.0  # of the sine, gray levels (ImageNet)
    frequency: float = 6.0  # of the sine, periods per image width (ImageNet)

    def __post_init__(self) -> None:
        check_in_range("opacity", self.opacity, 0, 1)
        check_at_least("stripe_px", self.stripe_px, 1)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a uint8 copy with the strip blended in."""
        check_batch(images_NHWC, index, phase)
        width = images_NHWC.shape[2]
        column_W = np.arange(width)
        if is_small(images_NHWC):
            strip_W = 255.0 * (column_W // self.stripe_px % 2)
        else:
            strip_W = self.amplitude * np.sin(2 * np.pi * column_W * self.frequency / width)
        return to_uint8((1 - self.opacity) * images_NHWC + (self.opacity * strip_W)[:, None])
