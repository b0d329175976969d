"""Random crop of the padded image at the image's own size (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Crop:
    """Pads with black and cuts out a window at a random position, as torchvision's RandomCrop does.

    All positions are equally likely.
    """

    name: ClassVar[str] = "crop"
    num_draws: ClassVar[int] = 2

    pad_fraction: float = 0.125  # padding as a share of the side: 4 pixels of 32

    def __post_init__(self) -> None:
        check_in_range("pad_fraction", self.pad_fraction, 0, 1)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws 0 and 1 are the top and the left of the window."""
        from ray_defense.transforms.resample import random_window

        height, width = images_BCHW.shape[2:]
        margin = (round(self.pad_fraction * height), round(self.pad_fraction * width))
        return random_window(images_BCHW, margin, draws_Bn)
