"""Random pictures, and images as the bytes of a file."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

_GENERATOR = np.random.default_rng(0)


def random_picture(side: int = 32) -> np.ndarray:
    """Returns noise, uint8 [side, side, 3], another at every call."""
    return _GENERATOR.integers(0, 256, (side, side, 3), dtype=np.uint8)


def encode_image(
    image: np.ndarray | Image.Image, file_format: str = "PNG", **options: Any
) -> bytes:
    """Returns the file that Pillow makes of an image or of its pixels."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def random_png(side: int = 32) -> bytes:
    """Returns a random picture as PNG."""
    return encode_image(random_picture(side))
