"""Hostile image bytes are converted as documented or rejected with a reason."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from ray_defense.core.errors import InputError
from ray_defense.data.decode import (
    FORMATS,
    DecodeError,
    decode_image,
    decode_recorded,
    decode_watched,
)
from ray_defense.data.limits import MAX_PIXELS
from ray_defense.decoding.heif_layout import heif_formats
from tests.support.encoded_images import encode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "PPM", "WEBP", "TIFF"])
def test_a_lossless_rgb_image_of_the_size_keeps_every_bit(file_format):
    decoded = decode_image(encode_image(PIXELS, file_format, lossless=True), 32)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    assert np.array_equal(decoded, PIXELS)


def test_a_jpeg_of_the_size_is_what_pillow_decodes():
    data = encode_image(PIXELS, "JPEG", quality=75)
    assert np.array_equal(decode_image(data, 32), np.asarray(Image.open(BytesIO(data))))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("kept_fraction", [0.3, 0.9])
def test_a_truncated_image_is_rejected(file_format, kept_fraction):
    data = encode_image(PIXELS, file_format)
    with pytest.raises(DecodeError):
        decode_image(data[: int(kept_fraction * len(data))], 32)


@pytest.mark.parametrize(
    "data", [b"", b"this is a text named cat.jpg", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_rejected(data):
    with pytest.raises(DecodeError):
        decode_image(data, 32)


@pytest.mark.parametrize("file_format", ["ICO", "TGA", "JPEG2000", "PDF", "DDS"])
def test_a_format_outside_the_list_is_rejected(file_format):
    with pytest.raises(DecodeError, match="JPEG, PNG"):
        decode_image(encode_image(PIXELS, file_format), 32)


def test_sixteen_bit_gray_is_scaled_not_saturated():
    deep = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64
    for file_format in ("PNG", "PPM"):
        decoded = decode_image(encode_image(Image.fromarray(deep), file_format), 32)
        assert np.array_equal(decoded, np.repeat((deep >> 8)[:, :, None], 3, axis=2))


def test_a_transparent_color_of_sixteen_bits_is_rejected():
    deep = np.full((32, 32), 40000, dtype=np.uint16)
    with pytest.raises(DecodeError, match="16 bits"):
        decode_image(encode_image(Image.fromarray(deep), transparency=40000), 32)


@pytest.mark.parametrize("saved_as", ["L PNG", "P PNG", "1 PNG", "CMYK JPEG", "L JPEG"])
def test_other_pixel_modes_become_rgb(saved_as):
    mode, file_format = saved_as.split()
    image = Image.fromarray(PIXELS).convert(mode)
    data = encode_image(image, file_format)
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    assert np.array_equal(decode_image(data, 32), expected)


def test_gray_levels_are_equal_in_the_three_channels():
    gray = PIXELS[:, :, 0]
    assert np.array_equal(
        decode_image(encode_image(gray), 32), np.repeat(gray[:, :, None], 3, axis=2)
    )


def test_float_pixels_are_rejected():
    with pytest.raises(DecodeError, match="mode F"):
        decode_image(encode_image(np.ones((32, 32), dtype=np.float32), "PPM"), 32)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_alpha_is_composited_on_black_so_transparent_pixels_hide_nothing(file_format):
    alpha = np.full((32, 32, 1), 255, dtype=np.uint8)
    alpha[:16] = 0
    data = encode_image(np.concatenate([PIXELS, alpha], axis=2), file_format, lossless=True)
    decoded = decode_image(data, 32)
    assert not decoded[:16].any()
    assert np.array_equal(decoded[16:], PIXELS[16:])


def test_half_alpha_is_a_mix_with_black():
    rgba = np.full((32, 32, 4), 200, dtype=np.uint8)
    rgba[:, :, 3] = 128
    assert np.abs(decode_image(encode_image(rgba), 32) - 200 * 128 / 255).max() <= 1


def test_a_transparent_color_of_a_palette_or_of_rgb_is_black():
    indexed = np.tile(np.arange(2, dtype=np.uint8), (32, 16))
    palette = Image.fromarray(indexed).convert("L")
    palette.putpalette([250, 10, 20, 30, 240, 60])
    decoded = decode_image(encode_image(palette, transparency=0), 32)
    assert np.array_equal(decoded[0, :2], [[0, 0, 0], [30, 240, 60]])
    rgb = np.full((32, 32, 3), 77, dtype=np.uint8)
    rgb[0, 0] = 5
    decoded = decode_image(encode_image(rgb, transparency=(77, 77, 77)), 32)
    assert np.array_equal(decoded[0, :2], [[5, 5, 5], [0, 0, 0]])


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "GIF", "TIFF"])
def test_an_animation_is_rejected(file_format):
    first_frame = Image.fromarray(PIXELS)
    other_frames = [Image.fromarray(255 - PIXELS)]
    animation = encode_image(first_frame, file_format, save_all=True, append_images=other_frames)
    with pytest.raises(DecodeError, match="animated, or more than one picture"):
        decode_image(animation, 32)


def test_exif_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode_image(PIXELS, "JPEG")
    turned = encode_image(PIXELS, "JPEG", exif=exif)
    assert plain != turned
    assert np.array_equal(decode_image(plain, 32), decode_image(turned, 32))


@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (7, 32), (32, 7)])
def test_a_side_under_eight_pixels_is_rejected(shape):
    with pytest.raises(DecodeError, match="under 8 pixels"):
        decode_image(encode_image(np.zeros((*shape, 3), dtype=np.uint8)), 32)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (20, 90), (8, 4000)])
def test_another_size_is_resized_with_antialias(shape):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(decode_image(encode_image(pixels), 32), np.asarray(expected))


def test_a_bomb_below_pillows_own_limit_is_rejected_by_its_header():
    bomb = encode_image(Image.new("1", (9000, 9000)))
    assert len(bomb) < 100_000
    assert 9000 * 9000 < Image.MAX_IMAGE_PIXELS
    with pytest.raises(DecodeError, match=f"more than {MAX_PIXELS} pixels"):
        decode_image(bomb, 32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [10_000, 40_000])
def test_a_header_beyond_pillows_limits_is_rejected_without_a_warning(side):
    header = b"P6 %d %d 255\n" % (side, side)
    with pytest.raises(DecodeError, match=f"more than {MAX_PIXELS} pixels"):
        decode_image(header + bytes(100), 32)


def test_nothing_is_decoded_while_pillow_lets_truncated_images_pass(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InputError, match="LOAD_TRUNCATED_IMAGES"):
        decode_image(encode_image(PIXELS), 32)


def photograph(num_pictures: int = 2, **options) -> bytes:
    """A JPEG as a phone writes it, with further pictures behind the first one."""
    others = [Image.fromarray(255 - PIXELS)] * (num_pictures - 1)
    return encode_image(
        Image.fromarray(PIXELS), "MPO", save_all=True, append_images=others, **options
    )


def test_of_a_photograph_of_several_pictures_the_first_is_read():
    """All photographs of some phones were rejected as animated."""
    first = encode_image(PIXELS, "JPEG", quality=75)
    decoded = decode_recorded(photograph(3), 32)
    assert np.array_equal(decoded.pixels, np.asarray(Image.open(BytesIO(first))))
    assert decoded.conversion == "the first of 3 pictures"
    watched = decode_watched(photograph(3), 32, 60)
    assert np.array_equal(watched.pixels, decoded.pixels)
    assert watched.conversion == decoded.conversion


@pytest.mark.parametrize("kept_fraction", [0.3, 0.4, 0.45])
def test_a_photograph_whose_first_picture_ends_early_is_rejected(kept_fraction):
    data = photograph()
    half = data[: int(kept_fraction * len(data))] + b"\xff\xd9"
    with pytest.raises(DecodeError):
        decode_image(half, 32)
    second = data.index(b"\xff\xd8", 100)
    with pytest.raises(DecodeError):
        decode_image(half + data[second:], 32)


SIXTEEN_BITS_OF_COLOR = b"P6 32 32 65535\n" + np.repeat(PIXELS, 2, axis=2).tobytes()


@pytest.mark.parametrize(
    ("image", "conversion"),
    [
        (PIXELS, ""),
        (PIXELS[:, :, 0], "gray"),
        (PIXELS[:, :, 0].astype(np.uint16) * 257, "16 bits, gray"),
        (Image.fromarray(PIXELS).convert("1"), "black and white"),
        (Image.fromarray(PIXELS).quantize(8), "palette"),
        (np.dstack([PIXELS, PIXELS[:, :, :1]]), "transparency"),
        (Image.fromarray(PIXELS).convert("LA"), "gray, transparency"),
    ],
)
def test_what_a_file_held_instead_of_8_bit_rgb_is_recorded(image, conversion):
    """Input rows 2 to 4: a conversion loses something, so it is told."""
    assert decode_recorded(encode_image(image), 32).conversion == conversion


def test_conversions_of_other_formats_are_recorded():
    cmyk = encode_image(Image.fromarray(PIXELS).convert("CMYK"), "JPEG")
    assert decode_recorded(cmyk, 32).conversion == "CMYK"
    assert decode_recorded(SIXTEEN_BITS_OF_COLOR, 32).conversion == "16 bits"
    transparent = encode_image(PIXELS, transparency=(1, 2, 3))
    assert decode_recorded(transparent, 32).conversion == "transparency"


def test_the_cap_of_pixels_can_be_set_and_the_reason_names_it():
    data = encode_image(np.zeros((100, 90, 3), dtype=np.uint8))
    with pytest.raises(DecodeError, match=r"90x100 is more than 8999 pixels \(max_pixels\)"):
        decode_image(data, 32, max_pixels=8999)
    assert decode_image(data, 32, max_pixels=9000).shape == (32, 32, 3)
    bomb = encode_image(Image.new("1", (9000, 9000)))
    assert decode_image(bomb, 32, max_pixels=2**27).shape == (32, 32, 3)


@pytest.mark.parametrize("brand", [b"heic", b"avif"])
def test_the_photographs_that_are_not_read_are_named_with_the_remedy(brand, monkeypatch):
    monkeypatch.setattr("ray_defense.data.decode.heif_formats", lambda: ())
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1"
    with pytest.raises(
        DecodeError, match=r"not read: convert it to JPEG or PNG, or install ray_defense\[heif\]"
    ):
        decode_image(data, 32)


HEIF = pytest.mark.skipif(not heif_formats(), reason="the extra heif is not installed")


def phone_photograph(file_format: str, pixels: np.ndarray = PIXELS) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return encode_image(Image.fromarray(pixels), file_format, quality=95)


@HEIF
@pytest.mark.parametrize("file_format", ["HEIF", "AVIF"])
def test_heic_and_avif_are_read_with_the_extra_and_its_halves_are_rejected(file_format):
    smooth = np.linspace(0, 255, 96 * 80 * 3).reshape(96, 80, 3).astype(np.uint8)
    data = phone_photograph(file_format, smooth)
    decoded = decode_recorded(data, 32)
    expected = np.asarray(Image.fromarray(smooth).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.abs(decoded.pixels.astype(int) - expected).mean() < 12
    assert decoded.conversion == ""
    for kept_fraction in (0.3, 0.6, 0.9):
        with pytest.raises(DecodeError):
            decode_image(data[: int(kept_fraction * len(data))], 32)
    with pytest.raises(DecodeError, match="80x96 is more than 5000 pixels"):
        decode_image(data, 32, max_pixels=5000)


@HEIF
def test_a_heic_that_says_a_bomb_or_nothing_of_its_size_is_rejected_undecoded():
    data = phone_photograph("HEIF")
    place = data.index(b"ispe") + 8
    bomb = data[:place] + (40_000).to_bytes(4, "big") * 2 + data[place + 8 :]
    with pytest.raises(DecodeError, match="40000x40000 is more than"):
        decode_image(bomb, 32)
    with pytest.raises(DecodeError, match="does not say its size"):
        decode_image(data.replace(b"ispe", b"isqe"), 32)
    with pytest.raises(DecodeError, match="pictures or tiles"):
        decode_image(data + data[place - 8 : place + 8] * 2000, 32)


@settings(max_examples=300, deadline=None)
@given(
    file_format=st.sampled_from(FORMATS),
    cut=st.integers(0, 4000),
    changes=st.lists(st.tuples(st.integers(0, 3999), st.integers(0, 255)), max_size=8),
)
def test_mutated_bytes_give_a_full_image_or_a_reason(file_format, cut, changes):
    data = bytearray(encode_image(PIXELS, file_format))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        decoded = decode_image(bytes(data[: len(data) - cut]), 32)
    except DecodeError as error:
        assert str(error)
    else:
        assert decoded.shape == (32, 32, 3)
        assert decoded.dtype == np.uint8
