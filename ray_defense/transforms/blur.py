"""Gaussian blur of random strength (the paper's App. C.5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Blur:
    """Blurs each image with a sigma of its own, as torchvision does, its edges reflected.

    An image with a side shorter than the kernel gets a shorter kernel along that side.
    """

    name: ClassVar[str] = "blur"
    num_draws: ClassVar[int] = 1

    kernel_px: int = 15  # taps along each side, odd (the authors' code)
    min_sigma: float = 0.1  # pixels (the authors' code)
    max_sigma: float = 2.0  # pixels (the authors' code)

    def __post_init__(self) -> None:
        check_at_least("kernel_px", self.kernel_px, 1)
        if self.kernel_px % 2 == 0:
            raise InputError(
                f"kernel_px must be odd, not {self.kernel_px}: take {self.kernel_px + 1}"
            )
        check_at_least("min_sigma", self.min_sigma, 0.01)
        check_in_range("min_sigma", self.min_sigma, 0, self.max_sigma)

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; draw 0 is sigma."""
        from torch.nn.functional import conv2d, pad

        from ray_defense.core.on_device import exact_convolutions
        from ray_defense.transforms.draws import to_interval

        batch, channels, height, width = images_BCHW.shape
        if batch == 0:
            return images_BCHW.clone()  # a convolution needs a group
        sigma_B = to_interval(draws_Bn[:, 0].float(), self.min_sigma, self.max_sigma)
        # Reflection can mirror at most all pixels of a side but one.
        half_rows = min(self.kernel_px // 2, height - 1)
        half_columns = min(self.kernel_px // 2, width - 1)
        rows = _gaussian(sigma_B, half_rows, like=images_BCHW)
        rows = rows.repeat_interleave(channels, 0)[:, None, :, None]
        columns = _gaussian(sigma_B, half_columns, like=images_BCHW)
        columns = columns.repeat_interleave(channels, 0)[:, None, None, :]
        margins = (half_columns, half_columns, half_rows, half_rows)
        padded = pad(images_BCHW, margins, mode="reflect").flatten(0, 1)[None]
        with exact_convolutions():
            blurred = conv2d(padded, rows, groups=batch * channels)
            blurred = conv2d(blurred, columns, groups=batch * channels)
        return blurred.reshape(images_BCHW.shape)


def _gaussian(sigma_B: "torch.Tensor", half: int, *, like: "torch.Tensor") -> "torch.Tensor":
    """Returns [B, 2 half + 1], the weights of one kernel an image, in the dtype of `like`."""
    import torch

    offset = torch.arange(-half, half + 1, device=sigma_B.device)
    weight = torch.exp(-0.5 * (offset / sigma_B[:, None]) ** 2)
    return (weight / weight.sum(dim=1, keepdim=True)).to(like.dtype)
