"""Rotation about the center by a random angle, black outside: the first half of the paper's default tau."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ray_defense.core.checks import in_range
from ray_defense.transforms.draws import between
from ray_defense.transforms.resample import bilinear, nearest


@dataclass(frozen=True)
class Rotate:
    """Turns each image by an angle uniform in +-degrees, positive counterclockwise, as torchvision's RandomRotation."""

    name: ClassVar[str] = "rotate"
    num_draws: ClassVar[int] = 1

    degrees: float = 180.0  # largest angle (the paper's default tau)
    interpolation: Literal["nearest", "bilinear"] = "nearest"  # torchvision's default

    def __post_init__(self) -> None:
        in_range("degrees", self.degrees, 0, 180)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draw 0 is the angle."""
        height, width = images_BCHW.shape[2:]
        angle_B = math.pi / 180 * between(draws_Bn[:, 0].float(), -self.degrees, self.degrees)
        cos, sin = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
        y = torch.arange(height, device=images_BCHW.device, dtype=torch.float32)[:, None] - (height - 1) / 2
        x = torch.arange(width, device=images_BCHW.device, dtype=torch.float32) - (width - 1) / 2
        row = (cos * y + (height - 1) / 2) + sin * x
        column = (cos * x + (width - 1) / 2) - sin * y
        return (nearest if self.interpolation == "nearest" else bilinear)(images_BCHW, row, column)
