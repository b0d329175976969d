"""Translation by a random whole number of pixels, black outside: the second half of the paper's default tau."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ray_defense.core.checks import in_range
from ray_defense.transforms.resample import random_window


@dataclass(frozen=True)
class Affine:
    """Moves each image by whole pixels, all equally likely, of at most a fraction of each side."""

    name: ClassVar[str] = "affine"
    num_draws: ClassVar[int] = 2

    translate_fraction: float = 0.2  # largest shift as a share of the side (the paper's default tau)

    def __post_init__(self) -> None:
        in_range("translate_fraction", self.translate_fraction, 0, 1)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws 0 and 1 are the shifts along rows and columns."""
        height, width = images_BCHW.shape[2:]
        reach = int(self.translate_fraction * height), int(self.translate_fraction * width)
        return random_window(images_BCHW, reach, draws_Bn)
