"""Translation by a random whole number of pixels: the second half of the paper's default tau."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Affine:
    """Shifts each image by whole pixels, at most a fraction of each side, and fills with black.

    All shifts are equally likely.
    """

    name: ClassVar[str] = "affine"
    num_draws: ClassVar[int] = 2

    translate_fraction: float = 0.2  # largest shift as a share of the side (the paper's default)

    def __post_init__(self) -> None:
        check_in_range("translate_fraction", self.translate_fraction, 0, 1)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws 0 and 1 are the shifts along rows and columns."""
        from ray_defense.transforms.resample import random_window

        height, width = images_BCHW.shape[2:]
        largest_shift = (
            int(self.translate_fraction * height),
            int(self.translate_fraction * width),
        )
        return random_window(images_BCHW, largest_shift, draws_Bn)
