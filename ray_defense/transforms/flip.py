"""Horizontal mirror image, always (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Flip:
    """Mirrors every image left to right; takes no draw."""

    name: ClassVar[str] = "flip"
    num_draws: ClassVar[int] = 0

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; `draws_Bn` is empty."""
        return images_BCHW.flip(3)
