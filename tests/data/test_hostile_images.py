"""Images made to hurt a decoder, or cut short under an end that looks right, are rejected."""

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from ray_defense.core.errors import RunError
from ray_defense.data.decode import (
    DecodeError,
    decode_image,
    decode_unwatched,
    decode_watched,
)
from ray_defense.decoding import decode_process
from ray_defense.decoding.file_layout import read_jpeg_layout
from ray_defense.decoding.limits import MAX_JPEG_SCANS, MAX_PNG_CHUNKS
from tests.support.encoded_images import encode_image, random_picture

END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = b"\xff\xda"


def smooth_picture(width: int, height: int) -> Image.Image:
    """A picture with much to code everywhere, of any size."""
    small = np.random.default_rng(width).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    noise = np.random.default_rng(height).normal(0, 8, (height, width, 3))
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_of(pixel_data: bytes, side: int, between: bytes = b"", interlace: int = 0) -> bytes:
    """A PNG of 8-bit RGB whose compressed pixels are given."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, interlace))
    pixels = png_chunk(b"IDAT", zlib.compress(pixel_data))
    return b"\x89PNG\r\n\x1a\n" + header + between + pixels + png_chunk(b"IEND", b"")


def with_scans(num_scans: int, side: int) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, is repeated."""
    data = encode_image(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    tables = data.rindex(b"\xff\xc4")
    last_scan = data[tables : -len(END_OF_IMAGE)]
    num_more = num_scans - read_jpeg_layout(data).num_scans
    return data[: -len(END_OF_IMAGE)] + num_more * last_scan + END_OF_IMAGE


def test_a_jpeg_of_very_many_scans_is_rejected_before_it_is_decoded():
    """Input row 8, bombs of time: 205 KB of empty scans took 22 seconds."""
    bomb = with_scans(5000, side=5760)
    assert len(bomb) < 600_000
    start = time.process_time()
    with pytest.raises(DecodeError, match=f"more than {MAX_JPEG_SCANS} scans"):
        decode_image(bomb, 32)
    assert time.process_time() - start < 1
    assert decode_image(with_scans(MAX_JPEG_SCANS, side=64), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["comments in pixels", "comment in header", "as text", "runs"])
def test_what_pillow_decodes_in_python_is_rejected_where_that_takes_long(kind):
    """Input row 8, bombs of time: the time of Pillow's comments grows as their square."""
    if kind == "comments in pixels":
        bomb = b"P2\n64 64\n255\n" + b"#\n" * 500_000
    elif kind == "comment in header":
        bomb = b"P6\n#" + b"x" * 20_000_000 + b"\n8 8\n255\n" + bytes(192)
    elif kind == "as text":
        bomb = b"P2 4000 4000 255\n" + b"1 " * 16_000_000
    else:
        pixels = b"\0\2\0\0" * 5_000_000
        header = struct.pack("<IiiHHIIiiII", 40, 900, 900, 1, 8, 1, len(pixels), 0, 0, 256, 0)
        bomb = b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078) + header + bytes(1024) + pixels
    start = time.monotonic()
    with pytest.raises(DecodeError, match=r"comments|header of more|as text or of run lengths"):
        decode_image(bomb, 32)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("kind", ["png", "jpeg", "jpeg fill"])
def test_an_image_of_very_many_empty_parts_is_rejected(kind):
    """Input row 8, bombs of time: a million empty parts, a microsecond or more each."""
    if kind == "png":
        bomb = png_of(bytes(8 * 25), 8, between=(MAX_PNG_CHUNKS + 1) * png_chunk(b"abCd", b""))
    else:
        whole = encode_image(random_picture(), "JPEG")
        filling = b"\xff\xfe\0\2" * 100_000 if kind == "jpeg" else b"\xff" * 1_000_000
        bomb = whole[:2] + filling + whole[2:]
    with pytest.raises(DecodeError, match="more than"):
        decode_image(bomb, 32)


@pytest.mark.parametrize("maxval", [1, 100, 254, 256, 1000, 4095, 65534])
@pytest.mark.parametrize("magic", [b"P5", b"P6"])
def test_an_odd_largest_value_gives_the_pixels_that_pillow_gives(magic, maxval):
    """Input rows 2 and 8: 16-bit values become their high byte; Pillow took 41 seconds."""
    num_values = 64 * (3 if magic == b"P6" else 1)
    values = np.random.default_rng(0).integers(0, min(maxval + 5, 65536), num_values)
    kind = np.uint8 if maxval < 256 else ">u2"
    data = (
        magic
        + b" 8 8 %d\n" % maxval
        + np.minimum(values, 255 if kind == np.uint8 else 65535).astype(kind).tobytes()
    )
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    assert np.array_equal(decode_image(data, 8), pixels)
    with pytest.raises(DecodeError, match="not enough image data"):
        decode_image(data[:-1], 8)


def test_an_odd_largest_value_costs_no_more_than_another():
    data = b"P5 2000 2000 1000\n" + bytes(8_000_000)
    start = time.process_time()
    decode_unwatched(data, 32)
    assert time.process_time() - start < 1.5


def slow_image() -> bytes:
    """An image that is allowed, and takes more than a tenth of a second."""
    return b"P3 1000 1000 255\n" + b"1 " * 3_000_000


@pytest.fixture
def own_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[decode_process._Child]:
    child = decode_process._Child()
    monkeypatch.setattr(decode_process, "_child", child)
    yield child
    child.close()


def test_an_image_that_takes_too_long_is_rejected_and_the_next_is_decoded(own_child):
    """Input row 8 and fault row 3: a decoder that hangs is killed, whoever called it."""
    with pytest.raises(DecodeError, match=r"takes more than 0\.1 s to decode"):
        decode_watched(slow_image(), 32, cpu_s=0.1)
    pixels = random_picture()
    assert np.array_equal(decode_watched(encode_image(pixels), 32, 60).pixels, pixels)
    with pytest.raises(DecodeError, match="no JPEG"):
        decode_watched(b"text", 32, 60)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_decoder_that_dies_rejects_the_image_unless_somebody_killed_it(own_child, number):
    decode_watched(encode_image(random_picture()), 32, 60)
    process = own_child._process
    threading.Timer(0.3, os.kill, (process.pid, number)).start()
    if number == signal.SIGSEGV:
        with pytest.raises(DecodeError, match="crashes the decoder"):
            decode_watched(slow_image(), 32, 60)
    else:
        with pytest.raises(RunError, match="ended with code -9: run again"):
            decode_watched(slow_image(), 32, 60)
    assert process.poll() == -number


def test_a_large_image_is_decoded_by_another_process_to_the_same_pixels(own_child):
    data = encode_image(smooth_picture(1300, 900), "PNG")
    decoded = decode_image(data, 32)
    assert own_child._process is not None
    assert decoded.flags.writeable
    assert np.array_equal(decoded, decode_unwatched(data, 32).pixels)


def test_the_decoding_process_takes_no_code_from_the_current_directory(
    own_child, tmp_path, monkeypatch
):
    (tmp_path / "PIL.py").write_text("raise SystemExit(7)")
    (tmp_path / "numpy.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    monkeypatch.setenv("PYTHONPATH", "")
    pixels = random_picture()
    assert np.array_equal(decode_watched(encode_image(pixels), 32, 60).pixels, pixels)


def test_the_decoding_process_ends_with_the_one_that_started_it():
    code = (
        "import os\n"
        "from ray_defense.data import decode\n"
        "from ray_defense.decoding import decode_process\n"
        "try:\n"
        "    decode.decode_watched(b'text', 32, 9)\n"
        "except ValueError:\n"
        "    print(decode_process._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
    )
    child = int(finished.stdout)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and is_running(child):
        time.sleep(0.05)
    assert not is_running(child)


def is_running(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


JPEG_KINDS = {
    "baseline": {},
    "not subsampled": {"subsampling": 0},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "rows of restarts": {"restart_marker_rows": 1, "progressive": True},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", JPEG_KINDS)
@pytest.mark.parametrize("size", [(32, 32), (61, 47), (200, 180)])
def test_a_jpeg_whose_scan_ends_early_is_rejected_and_the_whole_one_is_not(mode, kind, size):
    """Input row 1: half an image whose end marker is where it should be."""
    image = smooth_picture(*size).convert(mode)
    whole = encode_image(image, "JPEG", quality=90, **JPEG_KINDS[kind])
    expected = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB").resize((32, 32), 2))
    assert np.array_equal(decode_image(whole, 32), expected)
    first_scan = whole.index(START_OF_SCAN) + 14
    for fraction in (0.0, 0.05, 0.5, 0.8):
        end = first_scan + int(fraction * (len(whole) - first_scan))
        with pytest.raises(DecodeError):
            decode_image(whole[:end].rstrip(b"\xff") + END_OF_IMAGE, 32)


def test_data_that_are_missing_between_restart_markers_are_noticed():
    """Input row 1: the gray blocks are in the middle, and the end of the image is right."""
    whole = encode_image(smooth_picture(200, 180), "JPEG", quality=90, restart_marker_rows=1)
    first = whole.index(b"\xff\xd1")
    second = whole.index(b"\xff\xd2")
    with pytest.raises(DecodeError, match="end early"):
        decode_image(whole[: first + 2] + whole[second:], 32)


def test_missing_scans_of_a_progressive_jpeg_are_noticed():
    whole = encode_image(smooth_picture(64, 64), "JPEG", progressive=True)
    with pytest.raises(DecodeError, match="scans are missing"):
        decode_image(whole[: whole.rindex(START_OF_SCAN)] + END_OF_IMAGE, 32)


def test_a_gray_jpeg_is_not_taken_for_one_that_ends_early():
    for kind, options in JPEG_KINDS.items():
        for side in (32, 333):
            data = encode_image(Image.new("RGB", (side, side), (128, 128, 128)), "JPEG", **options)
            assert decode_image(data, 32).std() == 0, kind


def test_what_stands_behind_the_end_of_a_jpeg_does_not_matter():
    """Input row 1: phones and archives put their own data there, with markers in them."""
    pixels = random_picture()
    whole = encode_image(pixels, "JPEG")
    expected = decode_image(whole, 32)
    for trailer in (b"SEFT" * 20, b"PK\x03\x04" + bytes(300), 50 * START_OF_SCAN, whole):
        assert np.array_equal(decode_image(whole + trailer, 32), expected)


@pytest.mark.parametrize("interlace", [0, 1])
def test_a_png_whose_pixels_end_early_is_rejected(interlace):
    """Input row 1: the compressed data are whole, and hold half of the rows."""
    side = 64
    if interlace:
        widths = [(8, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32), (32, 64)]
        rows = b""
        for num_rows, width in widths:
            rows += num_rows * (b"\0" + width * b"\x50\x60\x70")
    else:
        rows = side * (b"\0" + side * b"\x50\x60\x70")
    assert (decode_image(png_of(rows, side, interlace=interlace), 32) == [80, 96, 112]).all()
    for fraction in (0.0, 0.5, 0.98):
        half = rows[: int(fraction * len(rows))]
        with pytest.raises(DecodeError):
            decode_image(png_of(half, side, interlace=interlace), 32)


def test_a_png_with_a_black_last_row_is_whole():
    pixels = random_picture()
    pixels[16:] = 0
    assert np.array_equal(decode_image(encode_image(pixels), 32), pixels)
    black = encode_image(Image.new("1", (40, 40)))
    assert not decode_image(black, 32).any()


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}])
def test_a_webp_whose_pixels_end_early_is_rejected(options):
    """Input row 1: the sizes in the file are those of what is left of it."""
    whole = encode_image(smooth_picture(64, 64), "WEBP", **options)
    half = bytearray(whole[: len(whole) // 4 * 2])
    half[4:8] = struct.pack("<I", len(half) - 8)
    half[16:20] = struct.pack("<I", len(half) - 20)
    with pytest.raises(DecodeError):
        decode_image(bytes(half), 32)


def test_a_file_of_more_bytes_than_any_image_is_rejected_unread():
    with pytest.raises(DecodeError, match="more than 134217728 bytes"):
        decode_image(bytes(2**27 + 1), 32)


def test_an_image_that_the_memory_cannot_hold_ends_the_run_with_a_reason(monkeypatch):
    def fail(image, mode):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(RunError, match="not enough memory"):
        decode_image(encode_image(random_picture()), 32)
