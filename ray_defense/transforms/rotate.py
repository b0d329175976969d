"""Rotation about the center by a random angle: the first half of the paper's default tau."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ray_defense.core.checks import check_in_range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rotate:
    """Turns each image by a random angle, as torchvision's RandomRotation does.

    The angle is uniform in +-degrees, and positive angles turn counterclockwise. What comes from
    outside of the image is black.
    """

    name: ClassVar[str] = "rotate"
    num_draws: ClassVar[int] = 1

    degrees: float = 180.0  # largest angle (the paper's default tau)
    interpolation: Literal["nearest", "bilinear"] = "nearest"  # torchvision's default

    def __post_init__(self) -> None:
        check_in_range("degrees", self.degrees, 0, 180)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draw 0 is the angle."""
        import torch

        from ray_defense.transforms.draws import to_interval
        from ray_defense.transforms.resample import sample_bilinear, sample_nearest

        height, width = images_BCHW.shape[2:]
        device = images_BCHW.device
        angle_B = math.pi / 180 * to_interval(draws_Bn[:, 0].float(), -self.degrees, self.degrees)
        cos_B11 = angle_B.cos()[:, None, None]
        sin_B11 = angle_B.sin()[:, None, None]
        center_row = (height - 1) / 2
        center_column = (width - 1) / 2
        y_H1 = torch.arange(height, device=device, dtype=torch.float32)[:, None] - center_row
        x_W = torch.arange(width, device=device, dtype=torch.float32) - center_column
        row_BHW = (cos_B11 * y_H1 + center_row) + sin_B11 * x_W
        column_BHW = (cos_B11 * x_W + center_column) - sin_B11 * y_H1
        if self.interpolation == "nearest":
            return sample_nearest(images_BCHW, row_BHW, column_BHW)
        return sample_bilinear(images_BCHW, row_BHW, column_BHW)
