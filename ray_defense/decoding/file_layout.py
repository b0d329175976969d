"""What a JPEG, PNG or PPM file is made of, read without decoding a pixel.

Sources: ITU-T T.81 (JPEG), the PNG specification (W3C) and Netpbm's ppm(5). Decoders fill missing
pixels silently and spend time on empty parts; these functions find both before and after them.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from ray_defense.decoding.limits import (
    MAX_JPEG_SCANS,
    MAX_JPEG_SEGMENTS,
    MAX_PNG_CHUNKS,
    MAX_PPM_HEADER_BYTES,
)

JPEG_START = b"\xff\xd8"
PNG_START = b"\x89PNG\r\n\x1a\n"

_MAX_FILL_BYTES = 4096  # between segments of a JPEG; honest files have a few
# What an end of a scan is padded with: longer than some blocks, and without a marker.
_PADDING = bytes((37 * number + 11) % 251 for number in range(64))

# A marker may follow any number of bytes 0xff; 0xff followed by 0 is data.
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_RESTARTS = range(0xD0, 0xD8)
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_RESTART_INTERVAL = 0xDD
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_ARITHMETIC = range(0xC9, 0xD0)

# Interlaced PNG: the first row and column of each pass and the steps between them.
_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_INFLATE_STEP_BYTES = 2**20


class LayoutError(ValueError):
    """The parts of the file are not those of an honest image; the only argument is the reason."""


@dataclass(frozen=True)
class JpegLayout:
    """The parts of a JPEG file that cost time, or may be missing."""

    num_scans: int
    has_one_plain_scan: bool  # no restart markers in it, and Huffman codes
    is_arithmetic: bool
    scan_ends: tuple[int, ...]  # where entropy-coded data end before a marker


class _JpegWalk:
    """The state of `read_jpeg_layout`."""

    def __init__(self) -> None:
        self.frame = 0  # the marker of the frame
        self.height = 0
        self.width = 0
        self.sampling: dict[int, tuple[int, int]] = {}  # of each component: across, down
        self.restart_interval = 0  # in units of blocks, between restart markers; 0: there are none
        self.num_restarts = 0  # that the scan which begins must have at least
        # Of each component the bit that each of the 64 coefficients is known to, so 0 in the end.
        self.precision: dict[int, list[int | None]] = {}
        self.num_scans = 0
        self.has_restarts = False
        self.scan_ends: list[int] = []

    def add_frame(self, marker: int, body: bytes) -> None:
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            raise LayoutError("damaged JPEG: its frame header is cut off")
        self.frame = marker
        self.height = int.from_bytes(body[1:3])
        self.width = int.from_bytes(body[3:5])
        for number in range(body[5]):
            component = body[6 + 3 * number]
            factors = body[7 + 3 * number]
            self.sampling[component] = (max(1, factors >> 4), max(1, factors & 15))
            self.precision[component] = [None] * 64

    def add_scan(self, body: bytes) -> None:
        self.num_scans += 1
        if self.num_scans > MAX_JPEG_SCANS:
            raise LayoutError(f"JPEG of more than {MAX_JPEG_SCANS} scans")
        if not body or len(body) < 4 + 2 * body[0]:
            raise LayoutError("damaged JPEG: the header of a scan is cut off")
        num_components = body[0]
        first = body[1 + 2 * num_components]
        last = body[2 + 2 * num_components]
        bit = body[3 + 2 * num_components] & 15
        if self.frame not in _PROGRESSIVE:
            first = 0
            last = 63
            bit = 0
        components = [body[1 + 2 * number] for number in range(num_components)]
        self.num_restarts = 0
        if self.restart_interval and self.sampling:
            num_units = self._units_of_scan(components)
            self.num_restarts = (num_units - 1) // self.restart_interval
        for component in components:
            precision = self.precision.get(component)
            if precision is not None:
                for coefficient in range(first, min(last, 63) + 1):
                    precision[coefficient] = bit

    def _units_of_scan(self, components: list[int]) -> int:
        """Returns how many units of blocks a scan codes, between which restart markers stand."""
        most_across = max(across for across, _ in self.sampling.values())
        most_down = max(down for _, down in self.sampling.values())
        width = 8 * most_across
        height = 8 * most_down
        if len(components) == 1:
            # The units are the blocks of the component, without those beyond its edges.
            across, down = self.sampling.get(components[0], (1, 1))
            columns = -(-self.width * across // most_across)
            rows = -(-self.height * down // most_down)
            return -(-columns // 8) * -(-rows // 8)
        return -(-self.width // width) * -(-self.height // height)

    def check_restarts(self, num_found: int) -> None:
        if num_found < self.num_restarts:
            raise LayoutError("truncated JPEG: restart markers are missing")

    def check_complete(self) -> None:
        for precision in self.precision.values():
            if any(bit != 0 for bit in precision):
                raise LayoutError("truncated JPEG: scans are missing")


def read_jpeg_layout(data: bytes) -> JpegLayout:
    """Returns the parts of a JPEG file up to its end marker.

    Raises:
        LayoutError: If there are too many scans or segments, or scans are missing.
    """
    walk = _JpegWalk()
    position = len(JPEG_START)
    num_fill_bytes = 0
    num_segments = 0
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            break  # no end marker, which the decoder judges
        num_fill_bytes += found.start() - position
        marker = data[found.start() + 1]
        position = found.end()
        if marker == _END_OF_IMAGE:
            break
        num_segments += 1
        if num_segments > MAX_JPEG_SEGMENTS or num_fill_bytes > _MAX_FILL_BYTES:
            raise LayoutError(f"JPEG of more than {MAX_JPEG_SEGMENTS} segments or fill bytes")
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[position : position + 2])
        body = data[position + 2 : position + length]
        position += max(length, 2)
        if marker in _FRAMES:
            walk.add_frame(marker, body)
        elif marker == _RESTART_INTERVAL:
            walk.restart_interval = int.from_bytes(body[:2])
        elif marker == _START_OF_SCAN:
            walk.add_scan(body)
            position = _walk_scan(data, position, walk)
    walk.check_complete()
    is_arithmetic = walk.frame in _ARITHMETIC
    return JpegLayout(
        num_scans=walk.num_scans,
        has_one_plain_scan=walk.num_scans == 1 and not walk.has_restarts and not is_arithmetic,
        is_arithmetic=is_arithmetic,
        scan_ends=tuple(walk.scan_ends),
    )


def _walk_scan(data: bytes, start: int, walk: _JpegWalk) -> int:
    """Notes where the entropy-coded data of a scan end and returns the position behind them."""
    num_restarts = 0
    for found in _MARKER.finditer(data, start):
        end = found.start()
        while end > start and data[end - 1] == 0xFF:
            end -= 1
        walk.scan_ends.append(end)
        if data[found.start() + 1] not in _RESTARTS:
            walk.check_restarts(num_restarts)
            return end
        num_restarts += 1
        walk.has_restarts = True
    return len(data)


def pad_jpeg_scans(data: bytes, layout: JpegLayout) -> bytes:
    """Returns a JPEG with other data behind the entropy-coded data of every scan.

    Where these are whole, nobody reads what comes behind them: the pixels stay the same. Where
    they end early, a decoder fills the blocks that are missing with gray; here it decodes noise.
    """
    parts = []
    start = 0
    for end in layout.scan_ends:
        parts.append(data[start:end])
        parts.append(_PADDING)
        start = end
    parts.append(data[start:])
    return b"".join(parts)


def check_png_chunks(data: bytes) -> None:
    """Raises LayoutError if a PNG has so many chunks that walking over them takes long."""
    position = len(PNG_START)
    for _ in range(MAX_PNG_CHUNKS):
        if position + 8 > len(data):
            return
        position += 12 + int.from_bytes(data[position : position + 4])
    raise LayoutError(f"PNG of more than {MAX_PNG_CHUNKS} chunks")


def check_png_pixels(data: bytes) -> None:
    """Raises LayoutError if the compressed pixels of a PNG end before the last row."""
    header = data[len(PNG_START) + 8 : len(PNG_START) + 8 + 13]
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _PNG_CHANNELS[color]
    num_missing = _png_bytes(width, height, bits, interlaced=bool(interlaced))
    inflater = zlib.decompressobj()
    for part in _png_pixel_chunks(data):
        while part and num_missing > 0 and not inflater.eof:
            num_missing -= len(inflater.decompress(part, _INFLATE_STEP_BYTES))
            part = inflater.unconsumed_tail
    while num_missing > 0 and not inflater.eof:
        rest = inflater.decompress(b"", _INFLATE_STEP_BYTES)
        if not rest:
            break
        num_missing -= len(rest)
    if num_missing > 0:
        raise LayoutError("truncated PNG: rows of pixels are missing")


def _png_pixel_chunks(data: bytes) -> list[bytes]:
    """Returns the contents of the first IDAT chunks that follow one another."""
    parts = []
    position = len(PNG_START)
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            parts.append(data[position + 8 : position + 8 + length])
        elif parts:
            break
        position += 12 + length
    return parts


def _png_bytes(width: int, height: int, bits: int, *, interlaced: bool) -> int:
    """Returns the bytes of all rows before compression, each with its filter byte.

    Args:
        width: Pixels.
        height: Pixels.
        bits: Of a pixel.
        interlaced: Whether the rows come in seven passes.
    """
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for first_row, first_column, row_step, column_step in passes:
        rows = -((first_row - height) // row_step)
        columns = -((first_column - width) // column_step)
        if rows > 0 and columns > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def check_ppm_header(data: bytes) -> None:
    """Raises LayoutError if comments fill the head of a PPM, PGM or PBM file, or its pixels."""
    header = data[:MAX_PPM_HEADER_BYTES]
    num_tokens = 3 if header[1:2] in b"14" else 4
    tokens = re.sub(rb"#[^\r\n]*", b"", header).split(None, num_tokens)
    if len(tokens) < num_tokens and len(data) > MAX_PPM_HEADER_BYTES:
        raise LayoutError(f"PPM with a header of more than {MAX_PPM_HEADER_BYTES} bytes")
    is_plain = header[1:2] in b"123"
    if is_plain and data.count(b"#") > MAX_PPM_HEADER_BYTES:
        raise LayoutError(f"PPM with more than {MAX_PPM_HEADER_BYTES} comments")
