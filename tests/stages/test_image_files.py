"""Image files of every odd kind become shards, or are rejected with a reason: rows 1 to 8."""

import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from ray_defense.data.limits import MAX_PIXELS
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.stages.ingest import IngestConfig, ingest_step
from tests.support.encoded_images import encode_image
from tests.support.noise import read_all
from tests.support.steps import make_step, plan_context

SIDE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GRAY = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)
GRAY_RGB = np.repeat(GRAY[:, :, None], 3, axis=2)


@dataclass(frozen=True, eq=False)
class Ingested:
    """What became of the files of the class `cat`, by their names."""

    images: dict[str, np.ndarray]
    held: dict[str, str]  # of converted ones, what the file held
    reasons: dict[str, str]  # of rejected ones


def ingest(folder: Path, files: dict[str, bytes]) -> Ingested:
    """Ingests files as a class `cat` beside a class `dog` of honest images."""
    data = folder / "data"
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.roll(PIXELS, number + (name == "dog") * 2, axis=0)
            (data / name / f"honest-{number}.png").write_bytes(encode_image(pixels))
    for name, content in files.items():
        (data / "cat" / name).write_bytes(content)
    context = plan_context(folder / "store")
    source = ImageFolder(str(data), size=SIDE)
    artifact = make_step(ingest_step(IngestConfig(), source, context), context)
    dataset, images = read_all(artifact)
    origins = pq.read_table(artifact.path / "manifest.parquet")["origin"].to_pylist()
    rejected = pq.read_table(artifact.path / "rejected.parquet").to_pylist()
    converted: list[dict[str, str]] = []
    if (artifact.path / "converted.parquet").exists():
        converted = pq.read_table(artifact.path / "converted.parquet").to_pylist()
    assert len(dataset.index) + len(rejected) == 4 + len(files)
    return Ingested(
        images={origin.removeprefix("cat/"): images[n] for n, origin in enumerate(origins)},
        held={row["origin"].removeprefix("cat/"): row["held"] for row in converted},
        reasons={row["origin"].removeprefix("cat/"): row["reason"] for row in rejected},
    )


def test_row_input_01_what_is_truncated_or_no_image_is_rejected_whatever_its_name(tmp_path):
    jpeg = encode_image(PIXELS, "JPEG", quality=90)
    found = ingest(
        tmp_path,
        {
            "third.jpg": jpeg[: int(0.3 * len(jpeg))],
            "most.jpg": jpeg[: int(0.9 * len(jpeg))],
            "empty.jpg": b"",
            "text.jpg": b"this is no image",
            "a png.jpg": encode_image(PIXELS, "PNG"),
            "a jpeg.png": jpeg,
        },
    )
    assert set(found.reasons) == {"third.jpg", "most.jpg", "empty.jpg", "text.jpg"}
    assert all(found.reasons.values())
    assert np.array_equal(found.images["a png.jpg"], PIXELS)
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert np.array_equal(found.images["a jpeg.png"], decoded)


def test_row_input_02_sixteen_bits_become_their_high_byte_and_that_is_recorded(tmp_path):
    deep = encode_image(GRAY.astype(np.uint16) * 256 + 77)
    found = ingest(tmp_path, {"deep.png": deep})
    assert found.held == {"deep.png": "16 bits, gray"}
    assert np.array_equal(found.images["deep.png"], GRAY_RGB)


def test_row_input_03_gray_palette_1_bit_and_cmyk_become_rgb_and_that_is_recorded(tmp_path):
    color = Image.fromarray(PIXELS)
    found = ingest(
        tmp_path,
        {
            "gray.png": encode_image(GRAY),
            "palette.png": encode_image(color.quantize(16)),
            "bits.png": encode_image(color.convert("1")),
            "cmyk.jpg": encode_image(color.convert("CMYK"), "JPEG"),
        },
    )
    assert found.held == {
        "gray.png": "gray",
        "palette.png": "palette",
        "bits.png": "black and white",
        "cmyk.jpg": "CMYK",
    }
    assert not found.reasons
    assert np.array_equal(found.images["gray.png"], GRAY_RGB)
    expected = np.asarray(color.quantize(16).convert("RGB"))
    assert np.array_equal(found.images["palette.png"], expected)


def test_row_input_04_transparent_pixels_show_black_and_that_is_recorded(tmp_path):
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:8] = 0
    found = ingest(tmp_path, {"hidden.png": encode_image(np.dstack([PIXELS, alpha]))})
    assert found.held == {"hidden.png": "transparency"}
    assert not found.images["hidden.png"][:8].any()
    assert np.array_equal(found.images["hidden.png"][8:], PIXELS[8:])


def test_row_input_05_animations_are_rejected(tmp_path):
    frames = [Image.fromarray(255 - PIXELS)]
    files = {}
    for name in ("GIF", "WEBP", "PNG"):
        first = Image.fromarray(PIXELS)
        files[f"a.{name.lower()}"] = encode_image(first, name, save_all=True, append_images=frames)
    found = ingest(tmp_path, files)
    assert set(found.reasons) == set(files)
    for reason in found.reasons.values():
        assert reason == "animated, or more than one picture in the file"


def test_row_input_06_exif_orientation_is_ignored_and_the_documents_say_so(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode_image(PIXELS, "JPEG")
    found = ingest(tmp_path, {"a.jpg": plain, "b.jpg": encode_image(PIXELS, "JPEG", exif=exif)})
    assert np.array_equal(found.images["a.jpg"], found.images["b.jpg"])
    document = Path(__file__).parents[2] / "docs" / "own-images.md"
    assert "EXIF orientation is ignored" in " ".join(document.read_text().split())


def test_row_input_07_other_sizes_are_resized_and_sides_under_8_pixels_rejected(tmp_path):
    sides = {"1x1": (1, 1), "long": (1, 10_000), "thin": (7, 40), "small": (8, 8), "wide": (9, 90)}
    files = {}
    for name, shape in sides.items():
        files[f"{name}.png"] = encode_image(np.full((*shape, 3), 99, np.uint8))
    found = ingest(tmp_path, files)
    assert set(found.reasons) == {"1x1.png", "long.png", "thin.png"}
    for reason in found.reasons.values():
        assert "under 8 pixels" in reason
    for name in ("small.png", "wide.png"):
        assert np.array_equal(found.images[name], np.full((SIDE, SIDE, 3), 99))


def test_row_input_08_bombs_and_formats_outside_the_list_are_rejected(tmp_path):
    bomb = encode_image(Image.new("1", (9000, 9000)))
    assert len(bomb) < 80_000
    assert MAX_PIXELS < 9000 * 9000 < Image.MAX_IMAGE_PIXELS
    files = {
        "bomb.png": bomb,
        "header.ppm": b"P6 90000 90000 255\n" + zlib.compress(b""),
        "icon.png": encode_image(PIXELS, "ICO"),
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n",
    }
    found = ingest(tmp_path, files)
    assert set(found.reasons) == set(files)
    for name in ("bomb.png", "header.ppm"):
        assert f"more than {MAX_PIXELS} pixels" in found.reasons[name]
    for name in ("icon.png", "script.png"):
        assert found.reasons[name].endswith("image")
