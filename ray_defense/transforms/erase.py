"""A random black rectangle (the paper's App. C.5; Zhong et al., AAAI 2020)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Erase:
    """Blackens a rectangle of random area, ratio and position.

    Area is uniform and ratio log-uniform, as in torchvision's RandomErasing. The ratio is height to
    width relative to the ratio of the image, so that every rectangle fits on any image.
    """

    name: ClassVar[str] = "erase"
    num_draws: ClassVar[int] = 4

    min_area_fraction: float = 0.2  # of the image's area (the authors' code)
    max_area_fraction: float = 0.3  # of the image's area (the authors' code)
    min_ratio: float = 0.5  # height to width (the authors' code)
    max_ratio: float = 1.0  # height to width (the authors' code)

    def __post_init__(self) -> None:
        largest_ratio = 1 / max(self.max_area_fraction, 1e-9)
        check_in_range("min_area_fraction", self.min_area_fraction, 0, self.max_area_fraction)
        check_in_range("min_ratio", self.min_ratio, self.max_area_fraction, self.max_ratio)
        check_in_range("max_ratio", self.max_ratio, self.min_ratio, largest_ratio)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws 0 to 3 are area, ratio, top and left."""
        from ray_defense.transforms.draws import to_integers, to_interval

        height, width = images_BCHW.shape[2:]
        area_B = to_interval(draws_Bn[:, 0], self.min_area_fraction, self.max_area_fraction)
        low = math.log(self.min_ratio)
        high = math.log(self.max_ratio)
        ratio_B = to_interval(draws_Bn[:, 1], low, high).exp()
        rows_B = ((area_B * ratio_B).sqrt() * height).round().long().clamp(max=height)
        columns_B = ((area_B / ratio_B).sqrt() * width).round().long().clamp(max=width)
        top_B = to_integers(draws_Bn[:, 2], height - rows_B + 1)
        left_B = to_integers(draws_Bn[:, 3], width - columns_B + 1)
        inside_BH = _span(top_B, rows_B, height)
        inside_BW = _span(left_B, columns_B, width)
        inside_BHW = inside_BH[:, :, None] & inside_BW[:, None, :]
        return images_BCHW.masked_fill(inside_BHW[:, None], 0)


def _span(start_B: "torch.Tensor", length_B: "torch.Tensor", side: int) -> "torch.Tensor":
    """Returns bool [B, side], true at the `length` positions from `start` on."""
    import torch

    position = torch.arange(side, device=start_B.device)
    start_B1 = start_B[:, None]
    end_B1 = start_B1 + length_B[:, None]
    return (position >= start_B1) & (position < end_B1)
