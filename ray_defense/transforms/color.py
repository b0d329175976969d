"""Color jitter of a batch: brightness, contrast, saturation and hue, each image with its own factors in its own order.

The meaning of each factor is torchvision's. Brightness, contrast, saturation and gray are one blend,
clamp(f x + (1 - f) base), that differ in what they blend with: black, the mean gray, the gray image.
"""

import torch

from ray_defense.transforms.draws import per_image

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def luma(images_B3HW: torch.Tensor) -> torch.Tensor:
    """Returns [B,1,H,W], the gray image (ITU-R BT.601)."""
    red, green, blue = images_B3HW.split(1, dim=1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def blend(images_BCHW: torch.Tensor, base: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    """Returns clamp(f x + (1 - f) base) in [0, 1]; `base` broadcasts against the images; f = 1 changes nothing."""
    factor = per_image(factor_B)
    return (images_BCHW * factor).add_(base * (1 - factor)).clamp_(0, 1)


def shift_hue(images_B3HW: torch.Tensor, shift_B: torch.Tensor) -> torch.Tensor:
    """Returns the images with the hue moved by `shift` turns of the color circle; HSV's value and saturation stay."""
    high, low = images_B3HW.amax(dim=1, keepdim=True), images_B3HW.amin(dim=1, keepdim=True)
    chroma = high - low
    red, green, blue = images_B3HW.split(1, dim=1)
    apart = torch.where(chroma == 0, 1, chroma)
    sixths = torch.where(green == high, 2 + (blue - red) / apart, 4 + (red - green) / apart)
    sixths = torch.where(red == high, (green - blue) / apart, sixths).add_(6 * per_image(shift_B))
    # A channel is full within 60 degrees of its own color, empty beyond 120, linear between.
    turn_3 = torch.tensor([5.0, 3.0, 1.0], device=images_B3HW.device, dtype=images_B3HW.dtype).view(3, 1, 1)
    place = (sixths + turn_3).remainder_(6)
    missing = torch.minimum(place, 4 - place).clamp_(0, 1)
    return high - chroma * missing


def jitter(images_B3HW: torch.Tensor, factors_B4: torch.Tensor, order_B4: torch.Tensor) -> torch.Tensor:
    """Returns the images after the four operations, in each image's own order.

    `factors_B4` columns are brightness, contrast, saturation (1 is neutral) and hue (turns, 0 is neutral);
    `order_B4` is int64, a permutation of the four operations' numbers in every row.
    """
    for operation_B in order_B4.unbind(dim=1):
        factor_B = factors_B4.gather(1, operation_B[:, None])[:, 0]
        gray = luma(images_B3HW)
        flat = gray.mean(dim=(2, 3), keepdim=True)
        saturation, contrast = per_image(operation_B == SATURATION), per_image(operation_B == CONTRAST)
        base = torch.where(saturation, gray, torch.where(contrast, flat, 0))
        images_B3HW = blend(images_B3HW, base, torch.where(operation_B == HUE, 1, factor_B))
        turned = ((operation_B == HUE) & (factor_B != 0)).nonzero()[:, 0]
        images_B3HW[turned] = shift_hue(images_B3HW[turned], factor_B[turned])
    return images_B3HW
