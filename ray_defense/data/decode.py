"""One image from hostile bytes: decided by content, capped by the header, whole or not at all, always 8-bit RGB.

EXIF orientation and color profiles are ignored, as torchvision does. Transparent pixels show BACKGROUND.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile

from ray_defense.core.errors import Refused

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")  # decoders that are small and much fuzzed; Pillow has forty more
MAX_PIXELS = 2**25  # 33 megapixels: above a 24-megapixel camera, 100 MB once decoded
MAX_BYTES = 4 * MAX_PIXELS  # encoded; no image under the pixel cap needs more
MIN_SIDE = 8  # pixels
BACKGROUND = (0, 0, 0)  # black, as the fill of the transforms
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I", "I;16"}


class DecodeError(ValueError):
    """The bytes are no image we accept; the only argument is the reason."""


def decode_image(data: bytes, size: int) -> np.ndarray:
    """Returns the image in `data` as uint8 [size, size, 3].

    An RGB image of that size keeps every bit; others are converted (16 bits by their high byte), composited, resized
    (antialiased bilinear, aspect ratio not kept). Raises DecodeError for all else: truncated, animated, too large, too
    small, no image.
    """
    with opened(data, FORMATS) as image:
        _check_header(image)
        image.load()
        rgb = _to_rgb(image)
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(rgb)


@contextmanager
def opened(data: bytes, formats: Sequence[str]) -> Iterator[Image.Image]:
    """Yields the image in `data`, no pixel decoded yet; what Pillow raises here or in the block becomes DecodeError."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Refused("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, so half images would pass: set it to False")
    if len(data) > MAX_BYTES:
        raise DecodeError(f"more than {MAX_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata we do not use, a pixel limit looser than ours
            with Image.open(BytesIO(data), formats=formats) as image:
                yield image
    except (DecodeError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise DecodeError(f"no {', '.join(formats)} image") from None
    except Image.DecompressionBombError:
        raise DecodeError(f"more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types on damaged bytes
        raise DecodeError(f"does not decode: {type(error).__name__}: {error}") from error


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DecodeError(f"{width}x{height} is more than {MAX_PIXELS} pixels")
    if min(width, height) < MIN_SIDE:
        raise DecodeError(f"{width}x{height} is under {MIN_SIDE} pixels a side")
    if getattr(image, "n_frames", 1) > 1:
        raise DecodeError("animated, or more than one picture in the file")
    if image.mode not in _MODES:
        raise DecodeError(f"pixel mode {image.mode} is not supported")


def _to_rgb(image: Image.Image) -> Image.Image:
    clear = image.info.get("transparency")  # PNG's tRNS chunk: one color, or the alpha of a palette
    if clear is not None and (image.mode.startswith("I") or isinstance(clear, tuple) and max(clear) > 255):
        raise DecodeError("16 bits with a transparent color is not supported")
    if image.mode.startswith("I"):
        # Image.convert clips to 255, so nearly every pixel would turn white; Pillow itself gives RGB its high byte
        high = np.clip(np.asarray(image), 0, 65535) >> 8
        image = Image.fromarray(high.astype(np.uint8))
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return image.convert("RGB")
