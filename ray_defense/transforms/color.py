"""Color jitter of a batch: brightness, contrast, saturation and hue, in an order for each image.

Each image has its own factors, whose meaning is torchvision's. Brightness, contrast, saturation and
gray are one blend, clamp(f x + (1 - f) base), and differ in what they blend with: black, the mean
gray, the gray image.
"""

import torch

from ray_defense.core.on_device import constant
from ray_defense.transforms.draws import per_image

BRIGHTNESS = 0
CONTRAST = 1
SATURATION = 2
HUE = 3


def luma(images_B3HW: torch.Tensor) -> torch.Tensor:
    """Returns [B,1,H,W], the gray images (ITU-R BT.601)."""
    red, green, blue = images_B3HW.chunk(3, dim=1)
    gray_B1HW = 0.2989 * red
    gray_B1HW.add_(green, alpha=0.587)
    gray_B1HW.add_(blue, alpha=0.114)
    return gray_B1HW


def blend(images_BCHW: torch.Tensor, base: torch.Tensor, factor_B: torch.Tensor) -> torch.Tensor:
    """Returns clamp(f x + (1 - f) base) in [0, 1].

    Args:
        images_BCHW: The images x.
        base: What is blended in; it broadcasts against the images.
        factor_B: The factor f of each image; 1 changes nothing.
    """
    factor = per_image(factor_B)
    return (images_BCHW * factor).add_(base * (1 - factor)).clamp_(0, 1)


def shift_hue(images_B3HW: torch.Tensor, shift_B: torch.Tensor) -> torch.Tensor:
    """Returns images with another hue and the same value and saturation (HSV).

    Args:
        images_B3HW: The images, float in [0, 1].
        shift_B: What is added to the hue of each image, in turns of the color circle.
    """
    high = images_B3HW.amax(dim=1, keepdim=True)
    low = images_B3HW.amin(dim=1, keepdim=True)
    chroma = high - low
    red, green, blue = images_B3HW.chunk(3, dim=1)
    divisor = torch.where(chroma == 0, 1, chroma)
    hue_sixths = torch.where(green == high, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    hue_sixths = torch.where(red == high, (green - blue) / divisor, hue_sixths)
    hue_sixths = hue_sixths.add_(6 * per_image(shift_B))
    # A channel is full within 60 degrees of its own color, empty beyond 120, linear between.
    offset_3 = constant((5.0, 3.0, 1.0), images_B3HW.dtype, images_B3HW.device)
    angle = (hue_sixths + offset_3.view(3, 1, 1)).remainder_(6)
    missing = torch.minimum(angle, 4 - angle).clamp_(0, 1)
    return high - chroma * missing


def jitter(
    images_B3HW: torch.Tensor, factors_B4: torch.Tensor, order_B4: torch.Tensor
) -> torch.Tensor:
    """Returns the images after the four operations, in each image's own order.

    Args:
        images_B3HW: The images, float in [0, 1].
        factors_B4: Brightness, contrast and saturation (1 is neutral) and hue (turns, 0 is neutral)
            of each image.
        order_B4: int64; every row is a permutation of the numbers of the four operations.
    """
    for operation_B in order_B4.unbind(dim=1):
        factor_B = factors_B4.gather(1, operation_B[:, None])[:, 0]
        gray = luma(images_B3HW)
        mean_gray = gray.mean(dim=(2, 3), keepdim=True)
        is_saturation = per_image(operation_B == SATURATION)
        is_contrast = per_image(operation_B == CONTRAST)
        base = torch.where(is_contrast, mean_gray, 0)
        base = torch.where(is_saturation, gray, base)
        blend_factor_B = torch.where(operation_B == HUE, 1, factor_B)
        images_B3HW = blend(images_B3HW, base, blend_factor_B)
        images_B3HW = _turn_hues(images_B3HW, factor_B, (operation_B == HUE) & (factor_B != 0))
    return images_B3HW


def _turn_hues(
    images_B3HW: torch.Tensor, shift_B: torch.Tensor, turned_B: torch.Tensor
) -> torch.Tensor:
    """Returns images of which those of `turned` have another hue."""
    if images_B3HW.is_cuda:
        # To compute all costs a GPU less than to wait for the number of those that are turned.
        return torch.where(per_image(turned_B), shift_hue(images_B3HW, shift_B), images_B3HW)
    turned = turned_B.nonzero()[:, 0]
    images_B3HW[turned] = shift_hue(images_B3HW[turned], shift_B[turned])
    return images_B3HW
