"""The augmentation of the backdoored model on ImageNet (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range
from ray_defense.transforms.rotate import Rotate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RotateFlip:
    """A small rotation, black outside, mirrored with a probability."""

    name: ClassVar[str] = "rotate_flip"
    num_draws: ClassVar[int] = 2

    degrees: float = 20.0  # largest angle
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        check_in_range("degrees", self.degrees, 0, 180)
        check_in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws are angle, flip."""
        import torch

        from ray_defense.transforms.draws import per_image

        rotated = Rotate(self.degrees).apply(images_BCHW, draws_Bn[:, :1])
        flipped_B = draws_Bn[:, 1] < self.flip_fraction
        return torch.where(per_image(flipped_B), rotated.flip(3), rotated)
