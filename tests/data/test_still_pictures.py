"""Still GIF and plain TIFF are read whole, and rejected where pixels are missing or doubtful."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ray_defense.data.decode import DecodeError, decode_image, decode_recorded
from ray_defense.decoding.limits import MAX_GIF_BLOCKS
from tests.support.encoded_images import encode_image

PIXELS = np.random.default_rng(3).integers(0, 256, (48, 48, 3), dtype=np.uint8)
SMOOTH = Image.fromarray(PIXELS[:6, :6]).resize((48, 48), Image.Resampling.BICUBIC)
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate")


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("num_colors", [2, 5, 256])
@pytest.mark.parametrize("side", [9, 48, 301])
def test_a_still_gif_is_read(interlace, num_colors, side):
    image = SMOOTH.resize((side, side)).quantize(num_colors)
    data = encode_image(image, "GIF", interlace=interlace)
    decoded = decode_recorded(data, side)
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    assert np.array_equal(decoded.pixels, expected)
    assert decoded.conversion in ("palette", "gray")


def test_transparent_pixels_of_a_gif_are_black():
    data = encode_image(SMOOTH.quantize(4), "GIF", transparency=0)
    decoded = decode_recorded(data, 48)
    assert decoded.conversion == "palette, transparency"
    transparent = np.asarray(Image.open(BytesIO(data))) == 0
    assert not decoded.pixels[transparent].any()


def gif_of_single_codes(num_pixels: int) -> bytes:
    """Returns a GIF of 8 x 8 pixels whose codes end behind some of them."""
    screen = struct.pack("<HHBBB", 8, 8, 0xF7, 0, 0) + bytes(3 * 256)
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x08"
    codes = [256, *[7] * num_pixels, 257]
    bits = sum(code << (9 * number) for number, code in enumerate(codes))
    block = bits.to_bytes(-(-9 * len(codes) // 8), "little")
    return b"GIF89a" + screen + picture + bytes([len(block)]) + block + b"\0\x3b"


@pytest.mark.parametrize("num_pixels", [0, 1, 32, 63])
def test_a_gif_whose_codes_end_before_its_last_pixel_is_rejected(num_pixels):
    """Input row 1: all blocks are whole, and pixels are missing."""
    assert decode_image(gif_of_single_codes(64), 8).shape == (8, 8, 3)
    with pytest.raises(DecodeError):
        decode_image(gif_of_single_codes(num_pixels), 8)


def test_a_gif_that_is_made_to_take_long_is_rejected():
    data = encode_image(SMOOTH.quantize(4), "GIF")
    comments = b"\x21\xfe" + b"\x01x" * (MAX_GIF_BLOCKS + 1) + b"\0"
    with pytest.raises(DecodeError, match="GIF of more than .* blocks"):
        decode_image(data[:-1] + comments + b"\x3b", 32)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_a_plain_tiff_is_read(compression, mode):
    image = SMOOTH.convert(mode)
    data = encode_image(image, "TIFF", compression=compression)
    shown = Image.open(BytesIO(data)).convert("RGB")
    decoded = decode_recorded(data, 48)
    assert np.array_equal(decoded.pixels, np.asarray(shown))
    assert bool(decoded.conversion) == (mode != "RGB")


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_a_tiff_of_16_bits_becomes_its_high_byte(order):
    deep = (np.arange(48 * 48, dtype=np.uint16) * 28).reshape(48, 48)
    data = encode_image(Image.fromarray(deep.astype(order)), "TIFF")
    decoded = decode_recorded(data, 48)
    assert np.array_equal(decoded.pixels[:, :, 0], (deep >> 8).astype(np.uint8))
    assert decoded.conversion == "16 bits, gray"


def tag_positions(data: bytes) -> dict[int, int]:
    """Returns where the entry of each tag of a little-endian TIFF begins."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    positions = {}
    for number in range(count):
        position = start + 2 + 12 * number
        (tag,) = struct.unpack_from("<H", data, position)
        positions[tag] = position
    return positions


def with_strip_length(data: bytes, strip: int, divided_by: int) -> bytes:
    """Returns a TIFF that says that a strip has fewer bytes than are there."""
    entry = tag_positions(data)[279]
    _, _, count, place = struct.unpack_from("<HHII", data, entry)
    place = entry + 8 if count == 1 else place
    changed = bytearray(data)
    (length,) = struct.unpack_from("<I", data, place + 4 * strip)
    struct.pack_into("<I", changed, place + 4 * strip, length // divided_by)
    return bytes(changed)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("strip", [0, 1, 2])
def test_a_tiff_whose_strip_is_cut_off_is_rejected(compression, strip):
    """Input row 1: a strip may end early with all tags in place."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    data = encode_image(noise, "TIFF", compression=compression, strip_size=60000)
    assert decode_image(data, 32).shape == (32, 32, 3)
    strip = 0 if compression == "raw" else strip  # which Pillow writes as one
    for divided_by in (2, 1000, 2**31):
        with pytest.raises(DecodeError):
            decode_image(with_strip_length(data, strip, divided_by), 32)


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (SMOOTH, {"compression": "jpeg"}, "value 7 of tag 259"),
        (SMOOTH, {"compression": "packbits"}, "value 32773 of tag 259"),
        (SMOOTH.convert("CMYK"), {}, "value 5 of tag 262"),
        (Image.fromarray(np.ones((32, 32), np.float32)), {}, "value 32 of tag 258"),
    ],
)
def test_other_kinds_of_tiff_are_rejected_by_their_tags(image, options, reason):
    with pytest.raises(DecodeError, match=reason):
        decode_image(encode_image(image, "TIFF", **options), 32)


def test_a_damaged_tiff_prints_nothing(capfd):
    """The library prints its complaints, which a file may fill with escape sequences."""
    data = encode_image(SMOOTH, "TIFF", compression="tiff_adobe_deflate")
    (start,) = struct.unpack_from("<I", data, tag_positions(data)[273] + 8)
    with pytest.raises(DecodeError):
        decode_image(data[: start + 5] + b"\xff" + data[start + 6 :], 32)
    assert capfd.readouterr() == ("", "")


def test_a_tiff_in_tiles_is_rejected():
    data = bytearray(encode_image(SMOOTH, "TIFF"))
    struct.pack_into("<H", data, tag_positions(bytes(data))[278], 322)
    with pytest.raises(DecodeError, match="in tiles"):
        decode_image(bytes(data), 32)


@pytest.mark.parametrize("tag", [256, 258, 259, 262, 273, 277, 278, 279, 284])
def test_a_tiff_whose_tag_holds_no_numbers_is_rejected(tag):
    """Mutants of the tag of depths ended in a ValueError."""
    data = bytearray(encode_image(SMOOTH, "TIFF"))
    struct.pack_into("<H", data, tag_positions(bytes(data))[tag] + 2, 2)
    with pytest.raises(DecodeError, match=f"damaged TIFF: .*{tag}"):
        decode_image(bytes(data), 32)


def test_a_tiff_bomb_is_rejected_by_its_header():
    bomb = encode_image(Image.new("L", (9000, 9000)), "TIFF", compression="tiff_adobe_deflate")
    with pytest.raises(DecodeError, match="pixels"):
        decode_image(bomb, 32)
