"""A .beton file is read whole or refused with the reason, whatever its bytes are."""

from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.shards.beton import FIELD, HEADER, BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from tests.support.beton_files import (
    FIELDS_START,
    SAMPLE,
    SAMPLES_START,
    Mutation,
    fill_page,
    header_view,
    random_samples,
    samples_view,
    set_field,
    set_header,
    set_image,
    set_negative,
    set_offset,
    set_table,
    table_view,
    write_random_beton,
)
from tests.support.encoded_images import encode_image

ALL = slice(None)
FLAT = np.zeros((16, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def raw_file(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The bytes of a file of 5 raw images."""
    return write_random_beton(tmp_path_factory.mktemp("raw") / "a.beton", 5, 6, 7)


@pytest.fixture(scope="module")
def jpeg_file(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The bytes of a file of 5 JPEG images."""
    path = tmp_path_factory.mktemp("jpeg") / "a.beton"
    return write_random_beton(path, 5, 16, 24, jpeg_quality=90)


def test_images_are_a_copy_that_outlives_the_file(tmp_path: Path):
    images, labels, index = random_samples(3, 8, 8)
    write_beton(tmp_path / "a.beton", images, labels, index)
    copy = BetonFile(tmp_path / "a.beton").images(np.array([2, 0]))
    copy[:] //= 2
    np.testing.assert_array_equal(copy, images[[2, 0]] // 2)


@pytest.mark.parametrize("rows", [[-1], [5], [0.5], [[0]], [True], [2**63]])
def test_rows_outside_the_file_are_refused(tmp_path: Path, rows):
    write_random_beton(tmp_path / "a.beton", 5, 4, 4)
    with pytest.raises(InputError, match="rows must"):
        BetonFile(tmp_path / "a.beton").images(np.array(rows))


MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "another version": (set_header("version", 3), "format version 3"),
    "page size 0": (set_header("page_size", 0), "page size 0"),
    "page size not a power of two": (set_header("page_size", 3 << 20), "page size"),
    "page size too small": (set_header("page_size", 1 << 12), "page size"),
    "page size too large": (set_header("page_size", 1 << 31), "page size"),
    "no fields": (set_header("num_fields", 0), "0 fields"),
    "65,535 fields": (set_header("num_fields", 65535), "65535 fields"),
    "two fields of three": (set_header("num_fields", 2), "image modes"),
    "no samples": (set_header("num_samples", 0), "no samples"),
    "one sample fewer": (set_header("num_samples", 4), "allocation table of 120 bytes for 4"),
    "one sample more": (set_header("num_samples", 6), "allocation table of 120 bytes for 6"),
    "2^40 samples": (set_header("num_samples", 1 << 40), "1099511627776 samples"),
    "2^64 - 1 samples": (set_header("num_samples", 2**64 - 1), "samples"),
    "table at 0": (set_header("table_offset", 0), "a table at 0"),
    "table past the end": (set_header("table_offset", 2**64 - 8), "a table at"),
    "table cut": (lambda data: data[:-1], "allocation table of 119 bytes"),
    "table grown": (lambda data: np.append(data, data[-24:]), "allocation table of 144 bytes"),
    "header alone": (lambda data: data[: HEADER.itemsize], "a table at"),
    "half a header": (lambda data: data[:10], "10 bytes are too few"),
    "empty file": (lambda data: data[:0], "0 bytes are too few"),
    "unknown field type": (set_field("type_id", 200), "fields"),
    "a field of floats": (set_field("type_id", 0), "fields"),
    "another field name": (set_field("name", b"covariate"), "fields"),
    "one JPEG among raw images": (set_image("mode", 0), r"image modes \[0, 1\]"),
    "unknown image mode": (set_image("mode", 7), r"image modes \[1, 7\]"),
    "unknown image mode of all": (set_image("mode", 7, ALL), r"image modes \[7\]"),
    "a wider image": (set_image("width", 8), "different sizes"),
    "all images higher": (set_image("height", 4000, ALL), "another size"),
    "images of no height": (set_image("height", 0, ALL), "images of 0x7"),
    "images above the cap": (set_image("height", 65535, ALL), "images of 65535x7"),
    "size shrunk": (set_table("size", 125), "another size"),
    "size grown": (set_table("size", 2**40), "another size"),
    "sample named twice": (set_table("sample", 0), "each sample once"),
    "sample out of range": (set_table("sample", 2**40), "each sample once"),
    "pointer in the table alone": (set_table("offset", 2**40), "pointers differ"),
    "pointer in the metadata alone": (set_image("offset", 0), "pointers differ"),
    "duplicate pointer": (set_offset(lambda data, first: first), "overlap"),
    "overlapping images": (set_offset(lambda data, first: first + 125), "overlap"),
    "pointer into the header": (set_offset(lambda data, first: 0), "outside the data"),
    "pointer into the table": (
        set_offset(lambda data, first: len(data) - 126),
        "outside the data",
    ),
    "pointer past the end": (set_offset(lambda data, first: 2**64 - 1), "outside the data"),
    "negative label": (set_negative("label"), "label -1 is negative"),
    "negative index": (set_negative("index"), "index -1 is negative"),
}


@pytest.mark.parametrize(("mutate", "reason"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_row_input_21_a_mutated_file_is_refused_with_the_reason(
    tmp_path: Path, raw_file: np.ndarray, mutate, reason: str
):
    path = tmp_path / "bad.beton"
    mutate(raw_file.copy()).tofile(path)
    with pytest.raises(InputError, match=reason):
        BetonFile(path)


def test_an_image_across_two_pages_is_refused(tmp_path: Path):
    path = tmp_path / "a.beton"
    data = write_random_beton(path, 1400, 32, 32)  # two and a bit pages of 682 images
    page_start = samples_view(data)["image"]["offset"][682]
    for offsets in (samples_view(data)["image"]["offset"], table_view(data)["offset"]):
        offsets[681] = page_start - 3072 // 2
        offsets[682] = page_start + 3072
    data.tofile(path)
    with pytest.raises(InputError, match="crosses a page"):
        BetonFile(path)


def test_a_table_in_another_order_is_read(tmp_path: Path, raw_file: np.ndarray):
    data = raw_file.copy()
    table_view(data)[:] = table_view(data)[[3, 1, 0, 4, 2]]
    data.tofile(tmp_path / "a.beton")
    images, _, _ = random_samples(5, 6, 7)
    np.testing.assert_array_equal(BetonFile(tmp_path / "a.beton").images(np.arange(5)), images)


def test_what_is_no_regular_file_is_refused(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a regular file"):
            BetonFile(path)


def count_refused(
    path: Path, good: np.ndarray, positions: np.ndarray, num_tries: int, seed: int
) -> int:
    """Changes one to three of the bytes at `positions`, many times, and counts refused files."""
    generator = np.random.default_rng(seed)
    num_refused = 0
    good.tofile(path)
    disk = np.memmap(path, np.uint8, mode="r+")
    for _ in range(num_tries):
        changed = generator.choice(positions, generator.integers(1, 4), replace=False)
        disk[changed] = generator.integers(0, 256, len(changed))
        try:
            file = BetonFile(path)
            images = file.images(np.arange(len(file)))
            assert images.shape == (len(file), *file.image_shape)
        except InputError:
            num_refused += 1
        disk[changed] = good[changed]
    return num_refused


def test_flipped_bytes_are_refused_or_read_without_a_crash(tmp_path: Path, raw_file: np.ndarray):
    table_offset = int(header_view(raw_file)["table_offset"][0])
    samples_end = SAMPLES_START + 5 * SAMPLE.itemsize
    numbers = np.r_[0:FIELDS_START, SAMPLES_START:samples_end, table_offset : len(raw_file)]
    field_starts = FIELDS_START + FIELD.itemsize * np.arange(3)
    types_and_names = (field_starts[:, None] + np.arange(17)).ravel()
    positions = np.concatenate([numbers, types_and_names])
    num_refused = count_refused(tmp_path / "flip.beton", raw_file, positions, 1500, seed=7)
    assert num_refused > 500


JPEG_MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "size 0": (set_table("size", 0), "an image 0 bytes"),
    "size grown to the next image": (set_table("size", 4000), "overlap"),
    "size beyond a page": (set_table("size", 2**22), "bytes or another 4194304"),
    "size of 2^64 - 1": (set_table("size", 2**64 - 1), "bytes or another"),
    "last size grown beyond its page": (
        set_table("size", 1 << 21, 4),
        "crosses a page|outside the data",
    ),
    "one raw image": (set_image("mode", 1), r"image modes \[0, 1\]"),
    "all raw": (set_image("mode", 1, ALL), "another size than 1152"),
    "duplicate pointer": (set_offset(lambda data, first: first), "overlap"),
    "pointer into the header": (set_offset(lambda data, first: 0), "outside the data"),
    "pointer into the table": (
        set_offset(lambda data, first: len(data) - 126),
        "outside the data",
    ),
    "pointer past the end": (set_offset(lambda data, first: 2**64 - 1), "outside the data"),
    "one wider image": (set_image("width", 25), "different sizes"),
    "images above the cap": (set_image("height", 65535, ALL), "images of 65535x24"),
}


@pytest.mark.parametrize(("mutate", "reason"), JPEG_MUTATIONS.values(), ids=JPEG_MUTATIONS.keys())
def test_a_mutated_file_of_jpeg_pages_is_refused_with_the_reason(
    tmp_path: Path, jpeg_file: np.ndarray, mutate, reason: str
):
    path = tmp_path / "bad.beton"
    mutate(jpeg_file.copy()).tofile(path)
    with pytest.raises(InputError, match=reason):
        BetonFile(path)


def with_second_scan(data: bytes) -> bytes:
    """Returns a baseline JPEG whose scan is there twice."""
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan + data[-2:]


PAGES: dict[str, tuple[Mutation, str]] = {
    "a header of another size": (
        fill_page(encode_image(np.zeros((24, 16, 3), np.uint8), "JPEG")),
        "16x24 RGB, not JPEG of 24x16",
    ),
    "metadata of another size": (
        set_image("height", 17, ALL),
        "24x16 RGB, not JPEG of 24x17",
    ),
    "a gray JPEG": (fill_page(encode_image(FLAT[..., 0], "JPEG")), "24x16 L, not JPEG"),
    "a progressive JPEG": (
        fill_page(encode_image(FLAT, "JPEG", progressive=True)),
        "progressive",
    ),
    # Input rows 8 and 21: Pillow decodes a baseline JPEG of a thousand scans a thousand times.
    "a JPEG of two scans": (
        fill_page(with_second_scan(encode_image(FLAT, "JPEG"))),
        "several scans",
    ),
    "a PNG": (fill_page(encode_image(FLAT, "PNG")), "no JPEG image"),
    "zeros": (fill_page(b""), "no JPEG image"),
    "half a JPEG": (fill_page(encode_image(FLAT, "JPEG")[:-30]), "does not decode|no JPEG"),
    "a shrunk size": (set_table("size", 700), "does not decode"),
    "a header alone": (set_table("size", 20), "does not decode|no JPEG"),
}


@pytest.mark.parametrize(("mutate", "reason"), PAGES.values(), ids=PAGES.keys())
def test_a_page_that_is_not_the_jpeg_its_file_describes_is_refused_when_read(
    tmp_path: Path, jpeg_file: np.ndarray, mutate, reason: str
):
    path = tmp_path / "bad.beton"
    mutate(jpeg_file.copy()).tofile(path)
    file = BetonFile(path)
    with pytest.raises(InputError, match=reason):
        file.images(np.array([1]))


def test_raw_pixels_declared_to_be_jpeg_are_refused_when_read(tmp_path: Path, raw_file: np.ndarray):
    mutate = set_image("mode", 0, ALL)
    mutate(raw_file.copy()).tofile(tmp_path / "a.beton")
    with pytest.raises(InputError, match="image 3 is no page of this file: no JPEG image"):
        BetonFile(tmp_path / "a.beton").images(np.array([3]))


def test_a_table_of_jpeg_pages_in_another_order_is_read(tmp_path: Path, jpeg_file: np.ndarray):
    data = jpeg_file.copy()
    data.tofile(tmp_path / "a.beton")
    table_view(data)[:] = table_view(data)[[3, 1, 0, 4, 2]]
    data.tofile(tmp_path / "b.beton")
    in_order = BetonFile(tmp_path / "a.beton").images(np.arange(5))
    permuted = BetonFile(tmp_path / "b.beton").images(np.arange(5))
    np.testing.assert_array_equal(in_order, permuted)


def test_flipped_bytes_of_jpeg_files_are_refused_or_read_without_a_crash(
    tmp_path: Path, jpeg_file: np.ndarray
):
    table_offset = int(header_view(jpeg_file)["table_offset"][0])
    samples_end = SAMPLES_START + 5 * SAMPLE.itemsize
    first = int(table_view(jpeg_file)["offset"].min())
    end = first + int(table_view(jpeg_file)["size"].sum())
    positions = np.r_[SAMPLES_START:samples_end, table_offset : len(jpeg_file), first:end]
    num_refused = count_refused(tmp_path / "flip.beton", jpeg_file, positions, 1000, seed=8)
    assert 50 < num_refused < 1000
