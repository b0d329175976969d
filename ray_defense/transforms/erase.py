"""A random black rectangle (the paper's App. C.5; Zhong et al., AAAI 2020)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ray_defense.core.checks import in_range
from ray_defense.transforms.draws import between, whole


@dataclass(frozen=True)
class Erase:
    """Blackens a rectangle of random area (uniform), ratio (log-uniform, as torchvision's RandomErasing) and position.

    The ratio is height to width relative to the image's own, so that on any image every rectangle fits.
    """

    name: ClassVar[str] = "erase"
    num_draws: ClassVar[int] = 4

    min_area_fraction: float = 0.2  # of the image's area (the authors' code)
    max_area_fraction: float = 0.3  # of the image's area (the authors' code)
    min_ratio: float = 0.5  # height to width (the authors' code)
    max_ratio: float = 1.0  # height to width (the authors' code)

    def __post_init__(self) -> None:
        in_range("min_area_fraction", self.min_area_fraction, 0, self.max_area_fraction)
        in_range("min_ratio", self.min_ratio, self.max_area_fraction, self.max_ratio)
        in_range("max_ratio", self.max_ratio, self.min_ratio, 1 / max(self.max_area_fraction, 1e-9))

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws 0 to 3 are area, ratio, top and left."""
        height, width = images_BCHW.shape[2:]
        area_B = between(draws_Bn[:, 0], self.min_area_fraction, self.max_area_fraction)
        ratio_B = between(draws_Bn[:, 1], math.log(self.min_ratio), math.log(self.max_ratio)).exp()
        rows_B1 = ((area_B * ratio_B).sqrt() * height).round().long().clamp(max=height)[:, None]
        columns_B1 = ((area_B / ratio_B).sqrt() * width).round().long().clamp(max=width)[:, None]
        inside_BH = _span(whole(draws_Bn[:, 2:3], height - rows_B1 + 1), rows_B1, height)
        inside_BW = _span(whole(draws_Bn[:, 3:4], width - columns_B1 + 1), columns_B1, width)
        return images_BCHW.masked_fill((inside_BH[:, :, None] & inside_BW[:, None, :])[:, None], 0)


def _span(start_B1: torch.Tensor, length_B1: torch.Tensor, side: int) -> torch.Tensor:
    place = torch.arange(side, device=start_B1.device)
    return (place >= start_B1) & (place < start_B1 + length_B1)
