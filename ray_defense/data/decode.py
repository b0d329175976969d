"""Decodes one image from hostile bytes to 8-bit RGB: whole, or rejected with the reason.

The format is recognized by content, and size and pixel mode are checked in the header before any
pixel is decoded. EXIF orientation and color profiles are ignored, as torchvision ignores them.
Transparent pixels show `BACKGROUND`.

Pillow is imported inside the functions, so that importing the sources of images stays cheap.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_ENCODED_BYTES, MAX_PIXELS, MIN_SIDE

if TYPE_CHECKING:
    from PIL import Image

# The decoders that are small and much fuzzed; Pillow has forty more.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
BACKGROUND = (0, 0, 0)  # black, like the fill color of the transforms
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I", "I;16"}


class DecodeError(ValueError):
    """The bytes are no image that we accept; the only argument is the reason."""


def decode_image(data: bytes, size: int) -> np.ndarray:
    """Returns an encoded image as 8-bit RGB of a given size.

    An RGB image that has this size already keeps every bit. Other pixel modes are converted (16-bit
    values become their high byte), transparency is composited on `BACKGROUND`, and other sizes are
    resized by antialiased bilinear interpolation of the whole image, which does not keep its
    aspect ratio.

    Args:
        data: The bytes of an image file in one of `FORMATS`.
        size: The side of the result in pixels.

    Returns:
        uint8 [size, size, 3], writable.

    Raises:
        DecodeError: If the bytes are no image, or one that is truncated, animated, too large, too
            small or of an unsupported pixel mode.
    """
    from PIL import Image

    with open_image(data, FORMATS) as image:
        _check_header(image)
        image.load()
        rgb = _to_rgb(image)
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(rgb)


@contextmanager
def open_image(data: bytes, formats: tuple[str, ...]) -> Iterator["Image.Image"]:
    """Opens an encoded image of which no pixel is decoded yet.

    Args:
        data: The bytes of an image file.
        formats: The formats that are tried, by their names in Pillow.

    Yields:
        The image; its header has been read.

    Raises:
        DecodeError: In place of whatever Pillow raises here or in the body.
        InputError: If Pillow is set to let truncated images pass.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise InputError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, so half images would pass: set it to False"
        )
    if len(data) > MAX_ENCODED_BYTES:
        raise DecodeError(f"more than {MAX_ENCODED_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of metadata that we do not use, and at a pixel limit looser than ours.
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(data), formats=formats) as image:
                yield image
    except (DecodeError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"no {', '.join(formats)} image") from None
    except Image.DecompressionBombError:
        raise DecodeError(f"more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # Pillow raises a dozen unrelated types on damaged bytes
        raise DecodeError(f"does not decode: {type(error).__name__}: {error}") from error


def _check_header(image: "Image.Image") -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DecodeError(f"{width}x{height} is more than {MAX_PIXELS} pixels")
    if min(width, height) < MIN_SIDE:
        raise DecodeError(f"{width}x{height} is under {MIN_SIDE} pixels a side")
    if getattr(image, "n_frames", 1) > 1:
        raise DecodeError("animated, or more than one picture in the file")
    if image.mode not in _MODES:
        raise DecodeError(f"pixel mode {image.mode} is not supported")


def _to_rgb(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    is_integer = image.mode.startswith("I")  # gray of 16 bits or more
    # PNG's tRNS chunk: one color that is transparent, or the alpha values of a palette.
    transparency = image.info.get("transparency")
    if transparency is not None:
        is_deep_color = isinstance(transparency, tuple) and max(transparency) > 255
        if is_integer or is_deep_color:
            raise DecodeError("16 bits with a transparent color is not supported")
    if is_integer:
        # Image.convert clips to 255, which would turn nearly every pixel white. Pillow itself
        # gives 16-bit RGB its high byte.
        high_byte = np.clip(np.asarray(image), 0, 65535) >> 8
        image = Image.fromarray(high_byte.astype(np.uint8))
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return image.convert("RGB")
