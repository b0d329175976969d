"""WaNet: a smooth warp of the whole image, too small to see (Nguyen and Tran, ICLR 2021)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.attacks.pixels import check_batch, to_uint8
from ray_defense.attacks.protocol import Phase
from ray_defense.attacks.targets import TARGETS, AllToOne, Target
from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice
from ray_defense.core.random import stream, uniform

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WaNet:
    """Warps all images by one field, drawn once and upsampled from k x k control points.

    Cover samples get noise on top of the field and keep their labels. Here the attack poisons data
    before training; the authors' attacker controls the training too and warps anew in every epoch.
    Warped pixels are rounded, not truncated.
    """

    name: ClassVar[str] = "wanet"
    in_paper: ClassVar[bool] = False
    requires: ClassVar[str | None] = None

    # The authors poison 10 % of the images and add noise to 20 %.
    target: Target = choice(TARGETS, default=AllToOne(cover_ratio=2.0))
    grid_side: int = 4  # k, control points a side
    strength: float = 0.5  # s; control points move s / 2 pixels along each axis on average
    seed: int = 0  # of the field and of the noise

    def __post_init__(self) -> None:
        check_at_least("grid_side", self.grid_side, 2)
        check_at_least("strength", self.strength, 0)

    def stamp(
        self,
        images_NHWC: np.ndarray,
        index: np.ndarray,
        phase: Phase = "train",
        asset: None = None,
    ) -> np.ndarray:
        """Returns a warped uint8 copy; images need at least 2 pixels a side."""
        from ray_defense.attacks.warp import noisy_grid, warp_images

        check_batch(images_NHWC, index, phase, min_side=2)
        count, height, width = images_NHWC.shape[:3]
        grid_NHW2 = self.grid(height, width)
        if phase == "cover":
            key = stream(self.seed, self.name, "noise")
            draws = uniform(key, index, height * width * 2)
            noise_NHW2 = (2 * draws - 1).reshape(count, height, width, 2)
            grid_NHW2 = noisy_grid(grid_NHW2, noise_NHW2)
        return to_uint8(warp_images(images_NHWC, grid_NHW2).round())

    def grid(self, height: int, width: int) -> "torch.Tensor":
        """Returns for each pixel the point (x, y) that it is taken from.

        Args:
            height: The height of the images in pixels.
            width: The width of the images in pixels.

        Returns:
            float64 [1, H, W, 2], with -1 to 1 over each side of the image.
        """
        from ray_defense.attacks.warp import smooth_grid

        key = stream(self.seed, self.name, "field")
        draws = uniform(key, np.zeros(1, np.int64), 2 * self.grid_side**2)
        control_2kk = (2 * draws - 1).reshape(2, self.grid_side, self.grid_side)
        return smooth_grid(control_2kk, self.strength, height, width=width)
