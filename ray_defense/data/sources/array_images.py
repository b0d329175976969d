"""Images as arrays of pixels: which axis is which, what their values mean, and their RGB."""

from dataclasses import dataclass

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError
from ray_defense.data.limits import MAX_PIXELS, MIN_SIDE

# So few values may lie outside of the range of all others, in images that are then rejected.
_MAX_STRAY_FRACTION = 0.001


@dataclass(frozen=True)
class PixelLayout:
    """How an array holds images."""

    axes: str  # "NHW", "NHWC" or "NCHW"
    scale: float  # what a value is multiplied by, to lie in 0..255


def check_axes(shape: tuple[int, ...], name: str) -> str:
    """Returns the axes of an array of images.

    Raises:
        InputError: If the shape is that of no images.
    """
    axes = ""
    if len(shape) == 3:
        axes = "NHW"
    elif len(shape) == 4 and shape[3] in (1, 3):
        axes = "NHWC"
    elif len(shape) == 4 and shape[1] in (1, 3):
        axes = "NCHW"
    sides = [length for axis, length in zip(axes, shape, strict=False) if axis in "HW"]
    if not axes or min(sides) < MIN_SIDE or sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(
            f"the array {name} has the shape {shape}, and not [N, height, width], "
            f"[N, height, width, 3] or [N, 3, height, width] of {MIN_SIDE} to {MAX_PIXELS} pixels: "
            "reshape it"
        )
    return axes


def value_scale(num_values: int, num_above_1: int, num_negative: int, *, name: str) -> float:
    """Returns what the values of images are multiplied by.

    Args:
        num_values: How many there are.
        num_above_1: How many of them are larger than 1.
        num_negative: How many are negative.
        name: The array, for messages.

    Raises:
        InputError: If many are negative.
    """
    most = _MAX_STRAY_FRACTION * num_values
    if num_negative > most:
        raise InputError(
            f"the array {name} has {num_negative} negative values of {num_values}: undo the "
            "normalization, so that they lie in 0..1 or 0..255"
        )
    return 255.0 if num_above_1 <= most else 1.0


def to_rgb(image: np.ndarray, layout: PixelLayout, size: int) -> np.ndarray:
    """Returns one image as uint8 [size, size, 3].

    Raises:
        DecodeError: If a value is no number or lies outside of its range.
    """
    from PIL import Image

    rgb = rgb_pixels(image, layout)
    if rgb.shape[:2] == (size, size):
        return rgb
    picture = Image.fromarray(rgb)
    return np.array(picture.resize((size, size), Image.Resampling.BILINEAR))


def rgb_pixels(image: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Returns one image as uint8 [H, W, 3] of its own size.

    Raises:
        DecodeError: If a value is no number or lies outside of its range.
    """
    if layout.axes == "NCHW":
        image = image.transpose(1, 2, 0)
    if image.dtype != np.uint8:
        with np.errstate(invalid="ignore"):  # of NaNs
            values = image.astype(np.float64) * layout.scale
        if not np.all((values >= 0) & (values < 255.5)):  # NaN is neither
            raise DecodeError("a pixel is no number, or outside of 0..255 (or 0..1)")
        image = np.rint(values).astype(np.uint8)
    if image.ndim == 2:
        image = image[:, :, None]
    return np.array(np.broadcast_to(image, (*image.shape[:2], 3)))
