"""Structural similarity SSIM of two images (Wang et al., IEEE TIP 2004), differentiable.

Shapes: B images, C channels, H rows, W columns, K taps of the window.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ray_defense.core.errors import InputError
from ray_defense.core.on_device import exact_convolutions

WINDOW = 11  # pixels, side of the Gaussian window
SIGMA = 1.5  # pixels, its standard deviation
C1 = 0.01**2  # of images in [0, 1]
C2 = 0.03**2  # of images in [0, 1]


def structural_similarity(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """Returns how little of the difference between two images one sees.

    Args:
        a_BCHW: Float images in [0, 1]; they are mirrored at their borders.
        b_BCHW: Images of the same shape.

    Returns:
        SSIM [B], the mean over channels and a window around every pixel; at most 1, for equal
        images.

    Raises:
        InputError: For unequal shapes, or images too small to mirror.
    """
    half_window = WINDOW // 2
    if a_BCHW.shape != b_BCHW.shape or a_BCHW.ndim != 4 or min(a_BCHW.shape[2:]) <= half_window:
        raise InputError(
            f"SSIM compares equally many images [B, C, H, W] of {half_window + 1} pixels a side or "
            f"more, not {list(a_BCHW.shape)} and {list(b_BCHW.shape)}"
        )
    a_BCHW = pad(a_BCHW, [half_window] * 4, mode="reflect")
    b_BCHW = pad(b_BCHW, [half_window] * 4, mode="reflect")
    moments = torch.cat((a_BCHW, b_BCHW, a_BCHW**2, b_BCHW**2, a_BCHW * b_BCHW), 1)
    mean_a, mean_b, square_a, square_b, product = _windowed_mean(moments).chunk(5, 1)
    variance_a = square_a - mean_a**2
    variance_b = square_b - mean_b**2
    covariance = product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminance * structure).mean((1, 2, 3))


def _windowed_mean(x_BCHW: Tensor) -> Tensor:
    """Returns the Gaussian mean around every pixel whose window lies inside of the image."""
    channels = x_BCHW.shape[1]
    offset_K = torch.arange(WINDOW, dtype=x_BCHW.dtype, device=x_BCHW.device) - WINDOW // 2
    weight_K = torch.softmax(-(offset_K**2) / (2 * SIGMA**2), 0)
    along_rows = weight_K.expand(channels, 1, 1, WINDOW)
    along_columns = weight_K[:, None].expand(channels, 1, WINDOW, 1)
    with exact_convolutions():
        mean_of_rows = conv2d(x_BCHW, along_rows, groups=channels)
        return conv2d(mean_of_rows, along_columns, groups=channels)
