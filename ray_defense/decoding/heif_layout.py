"""HEIC and AVIF, which a package of their own decodes where it is installed (ISO 23008-12).

What the files say of their sizes is read here, before any decoder sees the bytes.
"""

import importlib.util
import struct
from functools import cache

from ray_defense.decoding.file_layout import LayoutError
from ray_defense.decoding.limits import MAX_HEIF_PICTURES

HEIF_FORMATS = ("AVIF", "HEIF")  # as Pillow calls them
HEIF_EXTRA = "ray_defense[heif]"

_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_SIZE_BOX = b"ispe"


def is_heif(data: bytes) -> bool:
    """Returns whether a file says that it is HEIC or AVIF."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


@cache
def heif_formats() -> tuple[str, ...]:
    """Returns `HEIF_FORMATS` where the extra is installed, and nothing where it is not."""
    if importlib.util.find_spec("pillow_heif") is None:
        return ()
    return HEIF_FORMATS


def check_heif_sizes(data: bytes, max_pixels: int) -> None:
    """Raises LayoutError for a file of very many pictures or tiles, or of one with many pixels."""
    sizes = heif_sizes(data)
    if not sizes:
        raise LayoutError("HEIC or AVIF that does not say its size")
    if len(sizes) > MAX_HEIF_PICTURES:
        raise LayoutError(f"HEIC or AVIF of more than {MAX_HEIF_PICTURES} pictures or tiles")
    for width, height in sizes:
        if width * height > max_pixels:
            raise LayoutError(f"{width}x{height} is more than {max_pixels} pixels (max_pixels)")


def heif_sizes(data: bytes) -> list[tuple[int, int]]:
    """Returns width and height of each picture and tile that a file describes."""
    sizes: list[tuple[int, int]] = []
    position = data.find(_SIZE_BOX)
    while position >= 0 and len(sizes) <= MAX_HEIF_PICTURES:
        fields = data[position + 8 : position + 16]  # behind the name, version and flags
        if len(fields) == 8:
            width, height = struct.unpack(">II", fields)
            sizes.append((width, height))
        position = data.find(_SIZE_BOX, position + 4)
    return sizes
