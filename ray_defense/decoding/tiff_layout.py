"""What a TIFF file is made of, read without decoding a pixel (TIFF 6.0, Adobe 1992).

The format allows nearly everything. What image programs write of photographs is let through: one
picture of 8-bit or 16-bit gray, color or palette in strips, plain or with LZW or deflate.
"""

import struct
from collections.abc import Mapping

from ray_defense.decoding.file_layout import LayoutError
from ray_defense.decoding.limits import MAX_TIFF_ENTRIES, MAX_TIFF_STRIPS

TIFF_STARTS = {b"II*\0": "<", b"MM\0*": ">"}

_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NUMBER_TYPES = {1: "B", 3: "H", 4: "I"}

_WIDTH = 256
_HEIGHT = 257
_BITS = 258
_COMPRESSION = 259
_PHOTOMETRIC = 262
_FILL_ORDER = 266
_STRIP_OFFSETS = 273
_CHANNELS = 277
_ROWS_PER_STRIP = 278
_STRIP_BYTES = 279
_PLANES = 284
_PREDICTOR = 317
_TILES = (322, 323, 324, 325)
_EXTRA_CHANNELS = 338
_SAMPLE_FORMAT = 339
# Of each tag the values that are let through.
_ALLOWED = {
    _BITS: (1, 8, 16),
    _COMPRESSION: (1, 5, 8, 32946),
    _PHOTOMETRIC: (1, 0, 2, 3),
    _FILL_ORDER: (1,),
    _CHANNELS: (1, 2, 3, 4),
    _PLANES: (1,),
    _PREDICTOR: (1, 2),
    _EXTRA_CHANNELS: (0, 1, 2),
    _SAMPLE_FORMAT: (1,),
}
_PALETTE = 3
_WHITE_IS_ZERO = 0
_TAGS = {_WIDTH, _HEIGHT, _STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES, *_TILES, *_ALLOWED}
Tags = Mapping[int, tuple[int, ...]]


def check_tiff_layout(data: bytes) -> None:
    """Raises LayoutError unless a TIFF file is one whole picture of a plain kind."""
    tags = _read_tags(data)
    for tag in _TILES:
        if tag in tags:
            raise LayoutError("TIFF in tiles is not read: save it in strips, or as PNG")
    for tag, allowed in _ALLOWED.items():
        for value in tags.get(tag, ()):
            if value not in allowed:
                raise LayoutError(
                    f"TIFF with value {value} of tag {tag} is not read: save it as PNG"
                )
    width = _one(tags, _WIDTH)
    height = _one(tags, _HEIGHT)
    bits = set(tags.get(_BITS, (1,)))
    if len(bits) > 1:
        raise LayoutError("TIFF of channels of several depths is not read: save it as PNG")
    photometric = _one(tags, _PHOTOMETRIC)
    (depth,) = bits
    if depth == 16 and photometric in (_WHITE_IS_ZERO, _PALETTE):
        raise LayoutError("TIFF of 16 bits with a palette or reversed is not read: save it as PNG")
    _check_strips(
        data, tags, row_bytes=-(-width * depth * _one(tags, _CHANNELS, 1) // 8), rows=height
    )


def _read_tags(data: bytes) -> Tags:
    """Returns the numbers of each tag of the first and only directory."""
    order = TIFF_STARTS[data[:4]]
    start = _number(data, 4, order + "I")
    num_entries = _number(data, start, order + "H")
    if num_entries > MAX_TIFF_ENTRIES:
        raise LayoutError(f"TIFF of more than {MAX_TIFF_ENTRIES} tags")
    tags = {}
    for number in range(num_entries):
        position = start + 2 + 12 * number
        tag = _number(data, position, order + "H")
        kind = _number(data, position + 2, order + "H")
        count = _number(data, position + 4, order + "I")
        num_bytes = _BYTES_OF_TYPE.get(kind, 1) * count
        at = position + 8 if num_bytes <= 4 else _number(data, position + 8, order + "I")
        if at + num_bytes > len(data):
            raise LayoutError("truncated TIFF: a tag lies outside the file")
        if tag in tags:
            raise LayoutError(f"damaged TIFF: tag {tag} is there twice")
        if tag not in _TAGS:
            continue
        if kind not in _NUMBER_TYPES or not 1 <= count <= MAX_TIFF_STRIPS:
            raise LayoutError(f"damaged TIFF: {count} values of type {kind} in tag {tag}")
        tags[tag] = struct.unpack_from(f"{order}{count}{_NUMBER_TYPES[kind]}", data, at)
    if _number(data, start + 2 + 12 * num_entries, order + "I"):
        raise LayoutError("animated, or more than one picture in the file")
    return tags


def _number(data: bytes, position: int, form: str) -> int:
    if position + struct.calcsize(form) > len(data):
        raise LayoutError("truncated TIFF")
    (number,) = struct.unpack_from(form, data, position)
    return int(number)


def _one(tags: Tags, tag: int, default: int | None = None) -> int:
    values = tags.get(tag, () if default is None else (default,))
    if len(values) != 1:
        raise LayoutError(f"damaged TIFF: tag {tag} has {len(values)} values, not 1")
    return values[0]


def _check_strips(data: bytes, tags: Tags, *, row_bytes: int, rows: int) -> None:
    """Raises LayoutError if strips are missing, lie outside the file, or are too short."""
    rows_per_strip = min(_one(tags, _ROWS_PER_STRIP, rows), rows)
    offsets = tags.get(_STRIP_OFFSETS, ())
    lengths = tags.get(_STRIP_BYTES, ())
    if not rows or not rows_per_strip:
        raise LayoutError("damaged TIFF: it has no rows")
    num_strips = -(-rows // rows_per_strip)
    if num_strips > MAX_TIFF_STRIPS:
        raise LayoutError(f"TIFF of more than {MAX_TIFF_STRIPS} strips")
    if len(offsets) != num_strips or len(lengths) != num_strips:
        raise LayoutError(f"damaged TIFF: it must have {num_strips} strips")
    is_plain = _one(tags, _COMPRESSION, 1) == 1
    num_left = rows
    for offset, length in zip(offsets, lengths, strict=True):
        num_bytes = min(rows_per_strip, num_left) * row_bytes
        num_left -= rows_per_strip
        if offset + length > len(data) or (is_plain and length < num_bytes):
            raise LayoutError("truncated TIFF: a strip is cut off")
