"""What an image has beside its smooth surfaces, as strong in its calm parts as in its busy ones.

Natural images differ most in coarse shapes and in contrast. Without both, what many images have in
common at one place stands out of their average.

Shapes: B images, H x W pixels.
"""

from math import ceil

import torch
from torch import Tensor, nn

_SURFACE = 1.0  # pixels: the standard deviation of the Gaussian whose surface is taken away
_NEIGHBORHOOD = 2.0  # pixels: that of the Gaussian that measures contrast
_LEAST_CONTRAST = 0.1  # of normalized pixels; calmer places are not made stronger than that
_LARGEST = 2.0  # a single pixel counts for no more
_REACH = 4  # standard deviations at which a Gaussian ends


class LocalContrast(nn.Module):
    """The image less a Gaussian blur of it, divided by its local standard deviation, in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("surface", gaussian(_SURFACE), persistent=False)
        self.register_buffer("neighborhood", gaussian(_NEIGHBORHOOD), persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns float32 [B, 3 * H * W] of normalized images, whatever autocast says."""
        with torch.autocast(x_BCHW.device.type, enabled=False):
            x_BCHW = x_BCHW.float()
            detail_BCHW = x_BCHW - blur(x_BCHW, self.get_buffer("surface"))
            power_B1HW = detail_BCHW.square().mean(1, keepdim=True)
            contrast_B1HW = blur(power_B1HW, self.get_buffer("neighborhood")).clamp(min=0).sqrt()
            relative_BCHW = detail_BCHW / (contrast_B1HW + _LEAST_CONTRAST)
            return relative_BCHW.clamp(-_LARGEST, _LARGEST).flatten(1)


def gaussian(sigma: float) -> Tensor:
    """Returns the weights of a Gaussian at whole pixels, which sum to 1."""
    radius = ceil(_REACH * sigma)
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()


def blur(x_BCHW: Tensor, weights: Tensor) -> Tensor:
    """Returns images after a separable filter; pixels beyond the edge are those on it."""
    channels = x_BCHW.shape[1]
    radius = len(weights) // 2
    kernel = weights.repeat(channels, 1, 1, 1)
    padded_BCHW = nn.functional.pad(x_BCHW, (radius, radius, radius, radius), mode="replicate")
    rows_BCHW = nn.functional.conv2d(padded_BCHW, kernel, groups=channels)
    return nn.functional.conv2d(rows_BCHW, kernel.transpose(2, 3), groups=channels)
