"""The augmentation of the backdoored model on CIFAR-100 (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range
from ray_defense.transforms.crop_flip import CropFlip
from ray_defense.transforms.rotate import Rotate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CropFlipRotate:
    """As CropFlip, then a small rotation."""

    name: ClassVar[str] = "crop_flip_rotate"
    num_draws: ClassVar[int] = 4

    pad_fraction: float = 0.125  # padding as a share of the side: 4 pixels of 32
    flip_fraction: float = 0.5  # probability of a mirror image
    degrees: float = 15.0  # largest angle

    def __post_init__(self) -> None:
        check_in_range("pad_fraction", self.pad_fraction, 0, 1)
        check_in_range("flip_fraction", self.flip_fraction, 0, 1)
        check_in_range("degrees", self.degrees, 0, 180)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws are top, left, flip, angle."""
        crop_flip = CropFlip(self.pad_fraction, self.flip_fraction)
        flipped = crop_flip.apply(images_BCHW, draws_Bn[:, :3])
        return Rotate(self.degrees).apply(flipped, draws_Bn[:, 3:])
