"""The augmentation of the backdoored model on CIFAR-10 (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range
from ray_defense.transforms.crop import Crop

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CropFlip:
    """A random crop of the padded image, mirrored with a probability."""

    name: ClassVar[str] = "crop_flip"
    num_draws: ClassVar[int] = 3

    pad_fraction: float = 0.125  # padding as a share of the side: 4 pixels of 32
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        check_in_range("pad_fraction", self.pad_fraction, 0, 1)
        check_in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws are top, left, flip."""
        import torch

        from ray_defense.transforms.draws import per_image

        cropped = Crop(self.pad_fraction).apply(images_BCHW, draws_Bn[:, :2])
        flipped_B = draws_Bn[:, 2] < self.flip_fraction
        return torch.where(per_image(flipped_B), cropped.flip(3), cropped)
