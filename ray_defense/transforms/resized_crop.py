"""A random part of each image enlarged to the whole, mirrored or not (SimCLR, ICML 2020).

Legend: B images, T tries, H rows, W columns.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range

if TYPE_CHECKING:
    import torch

_NUM_TRIES = 10  # as torchvision's RandomResizedCrop


@dataclass(frozen=True)
class ResizedCrop:
    """Enlarges a box of random area and shape bilinearly to the image's size, and may mirror it.

    As in torchvision, a box that does not fit is drawn again, up to ten times; if none fits, the
    whole image is kept.
    """

    name: ClassVar[str] = "resized_crop"
    num_draws: ClassVar[int] = 2 * _NUM_TRIES + 3

    min_area_fraction: float = 0.2  # of the image's area; the largest is 1
    max_ratio: float = 4 / 3  # width to height, log-uniform between its inverse and itself
    flip_fraction: float = 0.5  # probability of a mirror image

    def __post_init__(self) -> None:
        check_in_range("min_area_fraction", self.min_area_fraction, 0, 1)
        check_in_range("max_ratio", self.max_ratio, 1, math.inf)
        check_in_range("flip_fraction", self.flip_fraction, 0, 1)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draws are ten areas, ten ratios, top, left, flip."""
        import torch

        from ray_defense.transforms.draws import to_integers
        from ray_defense.transforms.resample import sample_bilinear

        height, width = images_BCHW.shape[2:]
        rows_B, columns_B = self._box_sides(draws_Bn, height, width)
        top_B = to_integers(draws_Bn[:, -3], height - rows_B + 1)
        left_B = to_integers(draws_Bn[:, -2], width - columns_B + 1)
        row_BH = _sampling_points(top_B, rows_B, height)
        column_BW = _sampling_points(left_B, columns_B, width)
        flipped_B1 = draws_Bn[:, -1:] < self.flip_fraction
        column_BW = torch.where(flipped_B1, column_BW.flip(1), column_BW)
        shape = (len(images_BCHW), height, width)
        row_BHW = row_BH[:, :, None].expand(shape)
        column_BHW = column_BW[:, None, :].expand(shape)
        return sample_bilinear(images_BCHW, row_BHW, column_BHW)

    def _box_sides(
        self, draws_Bn: "torch.Tensor", height: int, width: int
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Returns the rows [B] and the columns [B] of the first box of each image that fits."""
        import torch

        from ray_defense.transforms.draws import to_interval

        area_draws_BT = draws_Bn[:, :_NUM_TRIES].float()
        ratio_draws_BT = draws_Bn[:, _NUM_TRIES : 2 * _NUM_TRIES].float()
        area_BT = height * width * to_interval(area_draws_BT, self.min_area_fraction, 1)
        span = math.log(self.max_ratio)
        ratio_BT = to_interval(ratio_draws_BT, -span, span).exp()
        rows_BT = (area_BT / ratio_BT).sqrt().round().long()
        columns_BT = (area_BT * ratio_BT).sqrt().round().long()
        rows_fit_BT = (rows_BT >= 1) & (rows_BT <= height)
        columns_fit_BT = (columns_BT >= 1) & (columns_BT <= width)
        fits_BT = rows_fit_BT & columns_fit_BT
        first_B1 = fits_BT.int().argmax(dim=1, keepdim=True)
        any_fits_B = fits_BT.any(dim=1)
        rows_B = torch.where(any_fits_B, rows_BT.gather(1, first_B1)[:, 0], height)
        columns_B = torch.where(any_fits_B, columns_BT.gather(1, first_B1)[:, 0], width)
        return rows_B, columns_B


def _sampling_points(
    start_B: "torch.Tensor", length_B: "torch.Tensor", side: int
) -> "torch.Tensor":
    """Returns float32 [B, side]: the point of the image at the center of each output pixel.

    No point leaves the box that begins at `start` and is `length` pixels long.
    """
    import torch

    start_B1 = start_B[:, None]
    length_B1 = length_B[:, None]
    center = (torch.arange(side, device=start_B.device) + 0.5) * (length_B1 / side) - 0.5
    return start_B1 + torch.minimum(center.clamp(min=0), length_B1 - 1)
