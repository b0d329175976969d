"""Structural similarity SSIM of two images (Wang et al., IEEE TIP 2004), differentiable: how little of a change one sees.

Shapes: B images, C channels.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ray_defense.core.errors import Refused

WINDOW, SIGMA = 11, 1.5  # pixels: side and standard deviation of the Gaussian window
C1, C2 = 0.01**2, 0.03**2  # of images in [0, 1]


def structural_similarity(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """Returns SSIM [B], at most 1 (equal images), the mean over channels and a window around every pixel.

    Images are float in [0, 1], mirrored at their borders. Raises Refused for unequal shapes or images too small to mirror.
    """
    if a_BCHW.shape != b_BCHW.shape or a_BCHW.ndim != 4 or min(a_BCHW.shape[2:]) <= WINDOW // 2:
        shapes = f"{list(a_BCHW.shape)} and {list(b_BCHW.shape)}"
        raise Refused(
            f"SSIM compares equally many images [B, C, H, W] of {WINDOW // 2 + 1} pixels a side or more, not {shapes}"
        )
    a_BCHW, b_BCHW = (pad(images, [WINDOW // 2] * 4, mode="reflect") for images in (a_BCHW, b_BCHW))
    moments = torch.cat((a_BCHW, b_BCHW, a_BCHW**2, b_BCHW**2, a_BCHW * b_BCHW), 1)
    mean_a, mean_b, square_a, square_b, product = _windowed(moments).chunk(5, 1)
    variance_a, variance_b, covariance = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminance * structure).mean((1, 2, 3))


def _windowed(x_BCHW: Tensor) -> Tensor:
    channels = x_BCHW.shape[1]
    offset_W = torch.arange(WINDOW, dtype=x_BCHW.dtype, device=x_BCHW.device) - WINDOW // 2
    weight_W = torch.softmax(-(offset_W**2) / (2 * SIGMA**2), 0)
    rows = conv2d(x_BCHW, weight_W.expand(channels, 1, 1, WINDOW), groups=channels)
    return conv2d(rows, weight_W[:, None].expand(channels, 1, WINDOW, 1), groups=channels)
