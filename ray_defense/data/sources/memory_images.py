"""One image or label of a dataset in memory, as what a Parquet file holds of it."""

import io
from typing import Any

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.array_images import PixelLayout, check_axes, rgb_pixels
from ray_defense.data.text import encodable, shortened

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def encode_picture(image: Any, index: int) -> bytes:
    """Returns an image as the bytes of a PNG file, which keeps every pixel.

    Args:
        image: A PIL image, the bytes of an image file, Hugging Face's dictionary with `bytes`, or
            an array or tensor: [H, W], [H, W, 3] or [3, H, W], uint8 or floats in [0, 1].
        index: Its position, for messages.

    Raises:
        InputError: If it is none of these.
    """
    if isinstance(image, dict):
        image = image.get("bytes")
    if isinstance(image, bytes):
        return image
    from PIL import Image

    if isinstance(image, Image.Image):
        return _png(image if image.mode in _PNG_MODES else image.convert("RGB"))
    pixels = as_array(image)
    if pixels is None or pixels.dtype.kind not in "biuf":
        raise InputError(
            f"image {index} is of type {type(image).__name__}: give PIL images, arrays or tensors"
        )
    axes = check_axes((1, *pixels.shape), f"of image {index}")
    scale = 255.0 if pixels.dtype.kind in "bf" else 1.0
    try:
        return _png(Image.fromarray(rgb_pixels(pixels, PixelLayout(axes, scale))))
    except DecodeError:
        raise InputError(
            f"image {index} has values from {pixels.min()} to {pixels.max()}: leave normalization "
            "out, so that floats lie in 0..1 and whole numbers in 0..255"
        ) from None


def plain_label(label: Any, index: int) -> int | str | None:
    """Returns a label as a number or a name.

    Raises:
        InputError: If it is neither.
    """
    if label is None or isinstance(label, str):
        return label
    array = as_array(label)
    is_number = array is not None and array.size == 1 and array.dtype.kind in "biu"
    if array is None or not is_number:
        raise InputError(
            f"label {index} is {shortened(encodable(repr(label)), 60)}: give one whole number or "
            "name for each image"
        )
    return int(array.reshape(-1)[0])


def as_array(value: Any) -> np.ndarray | None:
    """Returns an array, a tensor or a number as an array; None for anything else."""
    if hasattr(value, "detach"):  # a tensor of torch, which need not be imported for this
        value = value.detach().cpu().numpy()
    if isinstance(value, bool | int | float | np.generic | np.ndarray):
        return np.asarray(value)
    return None


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
