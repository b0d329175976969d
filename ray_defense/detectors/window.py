"""A window of an image at a fixed place, moved to the upper left corner."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Window:
    """Shows `margin` rows and columns less than the image has, from (row, column) on.

    The window lies in the upper left corner of the result, whatever its place in the image; the
    rest is black.
    """

    name: ClassVar[str] = "window"
    num_draws: ClassVar[int] = 0

    margin: int
    row: int
    column: int

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        height = images_BCHW.shape[2] - self.margin
        width = images_BCHW.shape[3] - self.margin
        rows = slice(self.row, self.row + height)
        columns = slice(self.column, self.column + width)
        moved_BCHW = images_BCHW.new_zeros(images_BCHW.shape)
        moved_BCHW[:, :, :height, :width] = images_BCHW[:, :, rows, columns]
        return moved_BCHW
