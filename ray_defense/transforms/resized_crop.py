"""A random part of each image enlarged to the whole, mirrored or not: RandomResizedCrop for a batch (SimCLR, 2020)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ray_defense.core.checks import in_range
from ray_defense.transforms.draws import between, whole
from ray_defense.transforms.resample import bilinear

_TRIES = 10  # torchvision's; then the whole image


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts a box of random area and shape, enlarges it bilinearly to the image's size, mirrors it with a probability.

    As in torchvision a box that does not fit is drawn again, up to ten times; where none fits the whole image is kept.
    """

    name: ClassVar[str] = "resized_crop"
    num_draws: ClassVar[int] = 2 * _TRIES + 3

    min_area_fraction: float = 0.2  # of the image's area; the largest is 1
    max_ratio: float = 4 / 3  # width to height, log-uniform between its inverse and itself
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        in_range("min_area_fraction", self.min_area_fraction, 0, 1)
        in_range("max_ratio", self.max_ratio, 1, math.inf)
        in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: torch.Tensor, draws_Bn: torch.Tensor) -> torch.Tensor:
        """Returns [B,C,H,W]; draws are ten areas, ten ratios, top, left, flip."""
        height, width = images_BCHW.shape[2:]
        rows_B, columns_B = self._box(draws_Bn, height, width)
        row_BH = _places(whole(draws_Bn[:, -3], height - rows_B + 1), rows_B, height)
        column_BW = _places(whole(draws_Bn[:, -2], width - columns_B + 1), columns_B, width)
        column_BW = torch.where(draws_Bn[:, -1:] < self.flip_fraction, column_BW.flip(1), column_BW)
        shape = (len(images_BCHW), height, width)
        return bilinear(images_BCHW, row_BH[:, :, None].expand(shape), column_BW[:, None, :].expand(shape))

    def _box(self, draws_Bn: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        area_BT = height * width * between(draws_Bn[:, :_TRIES].float(), self.min_area_fraction, 1)
        span = math.log(self.max_ratio)
        ratio_BT = between(draws_Bn[:, _TRIES : 2 * _TRIES].float(), -span, span).exp()
        rows_BT, columns_BT = (area_BT / ratio_BT).sqrt().round().long(), (area_BT * ratio_BT).sqrt().round().long()
        fits_BT = (rows_BT >= 1) & (rows_BT <= height) & (columns_BT >= 1) & (columns_BT <= width)
        first_B1 = fits_BT.int().argmax(dim=1, keepdim=True)
        found_B = fits_BT.any(dim=1)
        rows_B = torch.where(found_B, rows_BT.gather(1, first_B1)[:, 0], height)
        return rows_B, torch.where(found_B, columns_BT.gather(1, first_B1)[:, 0], width)


def _places(start_B: torch.Tensor, length_B: torch.Tensor, side: int) -> torch.Tensor:
    """Returns float32 [B, side]: where in the image each output pixel's center lies; it never leaves the box."""
    start, length = start_B[:, None], length_B[:, None]
    center = (torch.arange(side, device=start_B.device) + 0.5) * (length / side) - 0.5
    return start + torch.minimum(center.clamp(min=0), length - 1)
