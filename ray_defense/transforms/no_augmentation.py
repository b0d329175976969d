"""No augmentation at all: what the probe is trained with (Algorithm 1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NoAugment:
    """Leaves the images as they are."""

    name: ClassVar[str] = "none"
    num_draws: ClassVar[int] = 0

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns `images_BCHW` itself."""
        return images_BCHW
