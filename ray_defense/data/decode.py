"""Decodes one image from hostile bytes to 8-bit RGB: whole, or rejected with the reason.

The format is recognized by content, and size and pixel mode are checked in the header before any
pixel is decoded. EXIF orientation and color profiles are ignored, as torchvision ignores them.
Transparent pixels show `BACKGROUND`.

Pillow is imported inside the functions, so that importing the sources of images stays cheap.
"""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.limits import (
    MAX_DECODE_CPU_S,
    MAX_PIXELS,
    MAX_SETTABLE_PIXELS,
    MAX_SLOW_BYTES,
    MAX_SLOW_PIXELS,
    MIN_SIDE,
    max_encoded_bytes,
)
from ray_defense.decoding.decode_process import ImageRejected, decode_in_process
from ray_defense.decoding.file_layout import (
    JPEG_START,
    PNG_START,
    JpegLayout,
    LayoutError,
    check_png_chunks,
    check_png_pixels,
    check_ppm_header,
    pad_jpeg_scans,
    read_jpeg_layout,
)
from ray_defense.decoding.gif_layout import GIF_STARTS, check_gif_pictures
from ray_defense.decoding.heif_layout import HEIF_EXTRA, check_heif_sizes, heif_formats, is_heif
from ray_defense.decoding.tiff_layout import TIFF_STARTS, check_tiff_layout

if TYPE_CHECKING:
    from PIL import Image

# The decoders that are small and much fuzzed; Pillow has forty more. Of TIFF, which is large, only
# plain kinds are let through (`check_tiff_layout`), always by the other process. HEIC and AVIF come
# in where the extra `heif` is installed, by the other process too.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "GIF", "TIFF")
BACKGROUND = (0, 0, 0)  # black, like the fill color of the transforms
_SLOW_DECODERS = ("ppm_plain", "bmp_rle")  # Pillow's own, written in Python
_PPM_KINDS = b"0123456fy"
# Up to these, decoding takes some tenths of a second at most, whatever the bytes are.
_QUICK_BYTES = 2**18
_QUICK_PIXELS = 2**22  # times scans
# A JPEG of so few pixels is always decoded twice: a block is a good part of it.
_SMALL_PIXELS = 2**14
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I", "I;16", "I;16B"}
_KINDS_OF_COLOR = {
    "1": "black and white",
    "L": "gray",
    "LA": "gray",
    "P": "palette",
    "PA": "palette",
    "CMYK": "CMYK",
    "I": "gray",
    "I;16": "gray",
    "I;16B": "gray",
}


class DecodeError(ValueError):
    """The bytes are no image that we accept; the only argument is the reason."""


@dataclass(frozen=True)
class DecodedImage:
    """An image, and what its file held instead."""

    pixels: np.ndarray  # uint8 [size, size, 3], writable
    conversion: str  # "gray", "16 bits, gray", ...; empty: the file held 8-bit RGB


def decode_image(data: bytes, size: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns the pixels that `decode_recorded` returns, uint8 [size, size, 3], writable."""
    return decode_recorded(data, size, max_pixels).pixels


def decode_recorded(data: bytes, size: int, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Returns an encoded image as 8-bit RGB of a given size, and how it was converted to that.

    An RGB image that has this size already keeps every bit. Other pixel modes are converted (16-bit
    values become their high byte), transparency is composited on `BACKGROUND`, and other sizes are
    resized by antialiased bilinear interpolation of the whole image, which does not keep its
    aspect ratio.

    What may take more than a moment is decoded by another process, which is killed after
    `MAX_DECODE_CPU_S` seconds of CPU time.

    Args:
        data: The bytes of an image file in one of `FORMATS`.
        size: The side of the result in pixels.
        max_pixels: How many pixels the image may have before it is resized.

    Raises:
        DecodeError: If the bytes are no image, or one that is truncated, animated, too large, too
            small, too slow or of an unsupported pixel mode.
        RunError: If the memory is not enough, or the other process does not work.
    """
    if len(data) <= _QUICK_BYTES:
        decoded = _decode_here(data, size, max_pixels, max_cost=_QUICK_PIXELS)
        if decoded is not None:
            return decoded
    elif len(data) > max_encoded_bytes(max_pixels):
        raise DecodeError(f"more than {max_encoded_bytes(max_pixels)} bytes")
    return decode_watched(data, size, MAX_DECODE_CPU_S, max_pixels=max_pixels)


def decode_watched(
    data: bytes, size: int, cpu_s: float, *, max_pixels: int = MAX_PIXELS
) -> DecodedImage:
    """Returns what `decode_recorded` returns, decoded by another process.

    Args:
        data: The bytes of an image file.
        size: The side of the result in pixels.
        cpu_s: The CPU time after which the process is killed.
        max_pixels: How many pixels the image may have.

    Raises:
        DecodeError: If the image does not decode, or not in time, or crashes the decoder.
        RunError: If the process does not work.
    """
    try:
        pixels, conversion = decode_in_process(data, size, cpu_s, max_pixels=max_pixels)
    except ImageRejected as error:
        raise DecodeError(str(error)) from None
    return DecodedImage(pixels, conversion)


def decode_unwatched(data: bytes, size: int, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Returns what `decode_recorded` returns, however long it takes."""
    decoded = _decode_here(data, size, max_pixels, max_cost=None)
    assert decoded is not None  # since no cost is too high
    return decoded


def _decode_here(
    data: bytes, size: int, max_pixels: int, *, max_cost: int | None
) -> DecodedImage | None:
    """Returns the decoded image, or None if pixels times scans are more than `max_cost`."""
    from PIL import Image

    jpeg = _check_layout(data, max_pixels)
    formats: tuple[str, ...] = FORMATS
    if is_heif(data) and heif_formats():
        if max_cost is not None:
            return None
        formats = _registered_heif_formats()
    elif max_cost is not None and data[:4] in TIFF_STARTS:
        return None
    with open_image(data, formats, max_pixels) as image:
        _check_header(image, len(data), max_pixels)
        num_scans = 1 if jpeg is None else max(1, jpeg.num_scans)
        if max_cost is not None and image.width * image.height * num_scans > max_cost:
            return None
        conversion = _conversion_of(image)
        image = _load_whole(image, data, jpeg)
        rgb = _to_rgb(image)
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return DecodedImage(np.array(rgb), conversion)


def _registered_heif_formats() -> tuple[str, ...]:
    """Returns the formats of HEIC and AVIF, which Pillow opens from then on in this process."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return heif_formats()


def _conversion_of(image: "Image.Image") -> str:
    """Returns in words what the file of an image holds besides 8-bit RGB of one picture."""
    parts = []
    num_pictures = getattr(image, "n_frames", 1)
    if image.format == "MPO" or (image.format == "HEIF" and num_pictures > 1):
        parts.append(f"the first of {num_pictures} pictures")
    if image.info.get("bit_depth", 8) != 8:
        parts.append(f"{image.info['bit_depth']} bits")
    if _is_deep(image):
        parts.append("16 bits")
    if image.mode in _KINDS_OF_COLOR:
        parts.append(_KINDS_OF_COLOR[image.mode])
    if image.has_transparency_data:
        parts.append("transparency")
    return ", ".join(parts)


def _is_deep(image: "Image.Image") -> bool:
    """Returns whether an image of which no pixel is decoded yet has more than 8 bits a value."""
    if image.mode.startswith("I"):
        return True
    for tile in getattr(image, "tile", []):
        if ";16" in str(tile[3]):
            return True
        if tile[0] in ("ppm", "ppm_plain") and tile[3][-1] > 255:
            return True
    return False


def _check_layout(data: bytes, max_pixels: int) -> JpegLayout | None:
    """Returns the layout of a JPEG, None for another format, before any decoder sees the bytes."""
    try:
        if data.startswith(JPEG_START):
            return read_jpeg_layout(data)
        if data.startswith(GIF_STARTS):
            check_gif_pictures(data)
        elif data.startswith(PNG_START):
            check_png_chunks(data)
        elif data[:4] in TIFF_STARTS:
            check_tiff_layout(data)
        elif is_heif(data) and heif_formats():
            check_heif_sizes(data, max_pixels)
        elif data[:1] == b"P" and data[1:2] in _PPM_KINDS:
            check_ppm_header(data)
    except LayoutError as error:
        raise DecodeError(str(error)) from None
    return None


def _load_whole(image: "Image.Image", data: bytes, jpeg: JpegLayout | None) -> "Image.Image":
    """Decodes the pixels and returns the image.

    Decoders fill what is missing at the end of the data: rows of zeros in a PNG, gray in a JPEG.

    Raises:
        DecodeError: If pixels are missing.
    """
    if image.format == "PPM" and _decoder_of(image) == "ppm":
        return _load_scaled_ppm(image, data)
    image.load()
    if image.format == "PNG" and _may_lack_rows(image):
        try:
            check_png_pixels(data)
        except (LayoutError, zlib.error) as error:
            raise DecodeError(str(error)) from None
    if jpeg is not None and _may_lack_blocks(image, jpeg):
        with open_image(pad_jpeg_scans(data, jpeg), ("JPEG",), MAX_SETTABLE_PIXELS) as padded:
            if padded.tobytes() != image.tobytes():
                raise DecodeError("truncated JPEG: the data of a scan end early")
    return image


def _decoder_of(image: "Image.Image") -> str:
    """Returns Pillow's name for what decodes the pixels of an image that was opened."""
    tiles = getattr(image, "tile", [])
    return str(tiles[0][0]) if tiles else ""


def _may_lack_rows(image: "Image.Image") -> bool:
    if image.info.get("interlace"):
        return True
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    return not any(last_row.tobytes())


def _may_lack_blocks(image: "Image.Image", layout: JpegLayout) -> bool:
    if layout.is_arithmetic:
        # Zeros at the end of arithmetic codes are left out by honest encoders too.
        return False
    if not layout.has_one_plain_scan or image.width * image.height <= _SMALL_PIXELS:
        return True
    # In a single scan without restarts, everything behind the end of the data is medium gray: the
    # last pixel too, if more than the last block is missing. Its colors may mix with those of the
    # block before, its brightness does not.
    corner = image.getpixel((image.width - 1, image.height - 1))
    if isinstance(corner, tuple) and len(corner) == 3:
        red, green, blue = corner
        brightness = 0.299 * red + 0.587 * green + 0.114 * blue
        return abs(brightness - 128) <= 3
    if isinstance(corner, int | float):
        return abs(corner - 128) <= 1
    return True


def _load_scaled_ppm(image: "Image.Image", data: bytes) -> "Image.Image":
    """Returns the image of a raw PPM whose largest value is not that of its type.

    Pillow decodes it in Python, a microsecond a value; this gives the same values.
    """
    from PIL import Image

    tile = getattr(image, "tile", [])[0]
    maxval = tile[3][-1]
    is_deep = image.mode == "I"
    out_max = 65535 if is_deep else 255
    num_channels = 3 if image.mode == "RGB" else 1
    num_values = image.width * image.height * num_channels
    value_type = np.dtype(np.uint8 if maxval < 256 else ">u2")
    if len(data) - tile[2] < num_values * value_type.itemsize:
        raise DecodeError("does not decode: not enough image data")
    values = np.frombuffer(data, value_type, num_values, tile[2])
    scaled = np.rint(np.arange(2 ** (8 * value_type.itemsize)) / maxval * out_max)
    table = np.minimum(scaled, out_max).astype(np.int32 if is_deep else np.uint8)
    shape = (image.height, image.width, 3) if num_channels == 3 else (image.height, image.width)
    return Image.fromarray(table[values].reshape(shape))


@contextmanager
def open_image(
    data: bytes, formats: tuple[str, ...], max_pixels: int = MAX_PIXELS
) -> Iterator["Image.Image"]:
    """Opens an encoded image of which no pixel is decoded yet.

    Args:
        data: The bytes of an image file.
        formats: The formats that are tried, by their names in Pillow.
        max_pixels: How many pixels an image may have, which the caller checks.

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
    if len(data) > max_encoded_bytes(max_pixels):
        raise DecodeError(f"more than {max_encoded_bytes(max_pixels)} bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of metadata that we do not use, and at a pixel limit looser than ours.
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(data), formats=formats) as image:
                yield image
    except DecodeError:
        raise
    except MemoryError:
        raise RunError(
            f"not enough memory to decode an image of {len(data)} bytes: run fewer processes"
        ) from None
    except UnidentifiedImageError:
        raise DecodeError(_reason_of_unknown(data, formats)) from None
    except Image.DecompressionBombError:
        raise DecodeError(f"more than {max_pixels} pixels (max_pixels)") from None
    except Exception as error:  # Pillow raises a dozen unrelated types on damaged bytes
        raise DecodeError(f"does not decode: {type(error).__name__}: {error}") from error


def _reason_of_unknown(data: bytes, formats: tuple[str, ...]) -> str:
    if is_heif(data) and not heif_formats():
        return f"HEIC or AVIF is not read: convert it to JPEG or PNG, or install {HEIF_EXTRA}"
    return f"no {', '.join(formats)} image"


def _check_header(image: "Image.Image", num_bytes: int, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DecodeError(f"{width}x{height} is more than {max_pixels} pixels (max_pixels)")
    is_slow = _decoder_of(image) in _SLOW_DECODERS
    if is_slow and (width * height > MAX_SLOW_PIXELS or num_bytes > MAX_SLOW_BYTES):
        raise DecodeError(
            f"{image.format} as text or of run lengths with more than {MAX_SLOW_PIXELS} pixels or "
            f"{MAX_SLOW_BYTES} bytes"
        )
    if min(width, height) < MIN_SIDE:
        raise DecodeError(f"{width}x{height} is under {MIN_SIDE} pixels a side")
    # What a phone adds to a photograph, such as a map of depth, is a picture of its own.
    if image.format not in ("MPO", "HEIF") and getattr(image, "n_frames", 1) > 1:
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
