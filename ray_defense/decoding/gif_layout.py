"""How many pictures a GIF file holds, counted without decoding a pixel (CompuServe, GIF89a, 1990).

Pillow counts them too, in Python and without an end.
"""

from ray_defense.decoding.file_layout import LayoutError
from ray_defense.decoding.limits import MAX_GIF_BLOCKS

GIF_STARTS = (b"GIF87a", b"GIF89a")

_EXTENSION = 0x21
_PICTURE = 0x2C
_TRAILER = 0x3B


def check_gif_pictures(data: bytes) -> None:
    """Raises LayoutError unless a GIF file holds one picture, in not too many blocks."""
    if len(data) < 13:
        raise LayoutError("truncated GIF")
    position = 13 + _bytes_of_colors(data[10])
    num_pictures = 0
    num_blocks = 0
    while position < len(data) and data[position] != _TRAILER:
        kind = data[position]
        position += 1
        if kind == _EXTENSION:
            position += 1
        elif kind == _PICTURE:
            num_pictures += 1
            flags = data[position + 8 : position + 9]
            position += 10 + (_bytes_of_colors(flags[0]) if flags else 0)
        if kind in (_EXTENSION, _PICTURE):
            while position < len(data) and data[position]:
                position += 1 + data[position]
                num_blocks += 1
            position += 1
        num_blocks += 1  # decoders skip other bytes one by one
        if num_pictures > 1:
            raise LayoutError("animated, or more than one picture in the file")
        if num_blocks > MAX_GIF_BLOCKS:
            raise LayoutError(f"GIF of more than {MAX_GIF_BLOCKS} blocks")
    if not num_pictures:
        raise LayoutError("damaged GIF: it has no picture")


def _bytes_of_colors(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
