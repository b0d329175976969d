"""Laws of the .beton format: what is written is read back, and nothing else is read."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ray_defense.core.errors import Refused
from ray_defense.data.shards.beton import FIELD, HEADER, TABLE, BetonFile, sample_dtype
from ray_defense.data.shards.beton_writer import write_beton

FIELDS_AT = HEADER.itemsize
SAMPLES_AT = FIELDS_AT + 3 * FIELD.itemsize
SAMPLE = sample_dtype(3)


def arrays(count: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return images, rng.integers(0, 10, count), rng.permutation(10 * count)[:count]


def header(data: np.ndarray) -> np.ndarray:
    return data[: HEADER.itemsize].view(HEADER)


def samples(data: np.ndarray) -> np.ndarray:
    count = int(header(data)["samples"][0])
    return np.ndarray(count, SAMPLE, data, SAMPLES_AT)


def table(data: np.ndarray) -> np.ndarray:
    return np.ndarray(int(header(data)["samples"][0]), TABLE, data, int(header(data)["table_at"][0]))


def fields(data: np.ndarray) -> np.ndarray:
    return np.ndarray(3, FIELD, data, FIELDS_AT)


def smooth(count: int, height: int, width: int) -> np.ndarray:
    """Returns images that JPEG keeps nearly as they are."""
    rows, columns = np.linspace(0, 100, height)[:, None, None], np.linspace(0, 90, width)[:, None]
    return (rows + columns + np.arange(3) + np.arange(count)[:, None, None, None]).astype(np.uint8)


def pillow(image: np.ndarray, file_format: str = "JPEG", **options) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("good") / "a.beton"
    write_beton(path, *arrays(5, 6, 7))
    return np.fromfile(path, np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_arrays_survive_the_round_trip_bit_for_bit(tmp_path_factory, count, height, width, seed):
    images, labels, index = arrays(count, height, width, seed)
    path = tmp_path_factory.mktemp("trip") / "a.beton"
    write_beton(path, images, labels, index)
    file = BetonFile(path)
    rows = np.random.default_rng(seed).integers(0, count, 9)
    assert len(file) == count and file.image_shape == (height, width, 3)
    np.testing.assert_array_equal(file.images(rows), images[rows])
    np.testing.assert_array_equal(file.labels, labels)
    np.testing.assert_array_equal(file.index, index)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 100))
def test_jpeg_pages_are_read_as_pillow_decodes_what_pillow_encoded(tmp_path_factory, count, height, width, quality):
    images, labels, index = arrays(count, height, width)
    path = tmp_path_factory.mktemp("trip") / "a.beton"
    write_beton(path, images, labels, index, jpeg_quality=quality)
    file = BetonFile(path)
    expected = [np.asarray(Image.open(BytesIO(pillow(i, quality=quality, subsampling=0)))) for i in images]
    assert file.jpeg and file.image_shape == (height, width, 3)
    np.testing.assert_array_equal(file.images(np.arange(count)[::-1]), np.stack(expected)[::-1])
    np.testing.assert_array_equal(file.labels, labels)
    np.testing.assert_array_equal(file.index, index)


def test_jpeg_pages_of_smooth_images_are_smaller_and_close(tmp_path: Path):
    images = smooth(60, 64, 48)
    write_beton(tmp_path / "a.beton", images, np.zeros(60, np.int64), np.arange(60), jpeg_quality=95)
    file = BetonFile(tmp_path / "a.beton")
    assert np.abs(file.images(np.arange(60)).astype(int) - images).max() <= 4
    assert file._size.max() < images[0].nbytes / 3


def test_jpeg_pages_beyond_the_first_never_cross_a_page(tmp_path: Path):
    images, labels, index = arrays(40, 224, 224)  # noise: 100 kB each, more than a page of 2 MiB
    write_beton(tmp_path / "a.beton", images, labels, index, jpeg_quality=90)
    assert len(BetonFile(tmp_path / "a.beton").images(np.array([39, 0]))) == 2
    assert len({*(table(np.fromfile(tmp_path / "a.beton", np.uint8))["at"] >> 21).tolist()}) > 1


def test_a_wrong_jpeg_quality_is_refused(tmp_path: Path):
    for quality in (0, 101):
        with pytest.raises(Refused, match="jpeg_quality"):
            write_beton(tmp_path / "a.beton", *arrays(2, 4, 4), jpeg_quality=quality)


def test_images_of_many_pages_survive_the_round_trip(tmp_path: Path):
    images, labels, index = arrays(31, 224, 220)  # 28 images fill a page of 4 MiB
    write_beton(tmp_path / "a.beton", images[::-1], labels, index)
    np.testing.assert_array_equal(BetonFile(tmp_path / "a.beton").images(np.arange(31)), images[::-1])


def test_the_same_arrays_give_the_same_bytes_and_leave_no_other_file(tmp_path: Path):
    for name in ("a.beton", "b.beton", "b.beton"):
        write_beton(tmp_path / name, *arrays(700, 32, 32))
    assert (tmp_path / "a.beton").read_bytes() == (tmp_path / "b.beton").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.beton", "b.beton"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.beton"
    write_beton(path, *arrays(2, 4, 4))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_beton(path, *arrays(3, 4, 4))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_images_are_a_copy_that_outlives_the_file(tmp_path: Path):
    images, labels, index = arrays(3, 8, 8)
    write_beton(tmp_path / "a.beton", images, labels, index)
    got = BetonFile(tmp_path / "a.beton").images(np.array([2, 0]))
    got[:] //= 2
    np.testing.assert_array_equal(got, images[[2, 0]] // 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda i, y, x: (i.astype(np.float32), y, x),
        lambda i, y, x: (i[..., :1], y, x),
        lambda i, y, x: (i[0], y, x),
        lambda i, y, x: (i[:0], y[:0], x[:0]),
        lambda i, y, x: (i[:, :0], y, x),
        lambda i, y, x: (np.broadcast_to(i[:, :1], (3, 5000, 4, 3)), y, x),
        lambda i, y, x: (i, y[:2], x),
        lambda i, y, x: (i, y - 100, x),
        lambda i, y, x: (i, y, x.astype(np.float64)),
    ],
)
def test_arrays_of_another_type_shape_or_range_are_refused(tmp_path: Path, wrong):
    with pytest.raises(Refused):
        write_beton(tmp_path / "a.beton", *wrong(*arrays(3, 4, 4)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [[-1], [5], [0.5], [[0]], [True], [2**63]])
def test_rows_outside_the_file_are_refused(tmp_path: Path, rows):
    write_beton(tmp_path / "a.beton", *arrays(5, 4, 4))
    with pytest.raises(Refused, match="rows must"):
        BetonFile(tmp_path / "a.beton").images(np.array(rows))


def set_header(name: str, value: int):
    def mutate(data: np.ndarray) -> np.ndarray:
        header(data)[name] = value
        return data

    return mutate


def set_image(name: str, value: int, row: slice | int = 1):
    def mutate(data: np.ndarray) -> np.ndarray:
        samples(data)["image"][name][row] = value
        return data

    return mutate


def set_table(name: str, value: int, row: slice | int = 1):
    def mutate(data: np.ndarray) -> np.ndarray:
        table(data)[name][row] = value
        return data

    return mutate


def set_field(name: str, value: int | bytes):
    def mutate(data: np.ndarray) -> np.ndarray:
        fields(data)[name][1] = value
        return data

    return mutate


def set_both(value):
    def mutate(data: np.ndarray) -> np.ndarray:
        moved = value(data, int(table(data)["at"][0]))
        table(data)["at"][1] = samples(data)["image"]["at"][1] = moved
        return data

    return mutate


def negative(name: str):
    def mutate(data: np.ndarray) -> np.ndarray:
        samples(data)[name][3] = -1
        return data

    return mutate


MUTATIONS = {
    "another version": (set_header("version", 3), "format version 3"),
    "page size 0": (set_header("page", 0), "page size 0"),
    "page size not a power of two": (set_header("page", 3 << 20), "page size"),
    "page size too small": (set_header("page", 1 << 12), "page size"),
    "page size too large": (set_header("page", 1 << 31), "page size"),
    "no fields": (set_header("fields", 0), "0 fields"),
    "65,535 fields": (set_header("fields", 65535), "65535 fields"),
    "two fields of three": (set_header("fields", 2), "image modes"),
    "no samples": (set_header("samples", 0), "no samples"),
    "one sample fewer": (set_header("samples", 4), "allocation table of 120 bytes for 4"),
    "one sample more": (set_header("samples", 6), "allocation table of 120 bytes for 6"),
    "2^40 samples": (set_header("samples", 1 << 40), "1099511627776 samples"),
    "2^64 - 1 samples": (set_header("samples", 2**64 - 1), "samples"),
    "table at 0": (set_header("table_at", 0), "a table at 0"),
    "table past the end": (set_header("table_at", 2**64 - 8), "a table at"),
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
    "unknown image mode of all": (set_image("mode", 7, slice(None)), r"image modes \[7\]"),
    "a wider image": (set_image("width", 8), "different sizes"),
    "all images higher": (set_image("height", 4000, slice(None)), "another size"),
    "images of no height": (set_image("height", 0, slice(None)), "images of 0x7"),
    "images above the cap": (set_image("height", 65535, slice(None)), "images of 65535x7"),
    "size shrunk": (set_table("size", 125), "another size"),
    "size grown": (set_table("size", 2**40), "another size"),
    "sample named twice": (set_table("sample", 0), "each sample once"),
    "sample out of range": (set_table("sample", 2**40), "each sample once"),
    "pointer in the table alone": (set_table("at", 2**40), "pointers differ"),
    "pointer in the metadata alone": (set_image("at", 0), "pointers differ"),
    "duplicate pointer": (set_both(lambda data, at: at), "overlap"),
    "overlapping images": (set_both(lambda data, at: at + 125), "overlap"),
    "pointer into the header": (set_both(lambda data, at: 0), "outside the data"),
    "pointer into the table": (set_both(lambda data, at: len(data) - 126), "outside the data"),
    "pointer past the end": (set_both(lambda data, at: 2**64 - 1), "outside the data"),
    "negative label": (negative("label"), "label -1 is negative"),
    "negative index": (negative("index"), "index -1 is negative"),
}


@pytest.mark.parametrize(("mutate", "reason"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_mutated_file_is_refused_with_the_reason(tmp_path: Path, good: np.ndarray, mutate, reason: str):
    path = tmp_path / "bad.beton"
    mutate(good.copy()).tofile(path)
    with pytest.raises(Refused, match=reason):
        BetonFile(path)


def test_an_image_across_two_pages_is_refused(tmp_path: Path):
    path = tmp_path / "a.beton"
    write_beton(path, *arrays(1400, 32, 32))  # two and a bit pages of 682 images
    data = np.fromfile(path, np.uint8)
    at = samples(data)["image"]["at"]
    at[681] = table(data)["at"][681] = at[682] - 3072 // 2
    at[682] = table(data)["at"][682] = at[682] + 3072
    data.tofile(path)
    with pytest.raises(Refused, match="crosses a page"):
        BetonFile(path)


def test_a_table_in_another_order_is_read(tmp_path: Path, good: np.ndarray):
    data = good.copy()
    table(data)[:] = table(data)[[3, 1, 0, 4, 2]]
    data.tofile(tmp_path / "a.beton")
    np.testing.assert_array_equal(BetonFile(tmp_path / "a.beton").images(np.arange(5)), arrays(5, 6, 7)[0])


def test_what_is_no_regular_file_is_refused(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(Refused, match="not a regular file"):
            BetonFile(path)


def test_flipped_bytes_are_refused_or_read_without_a_crash(tmp_path: Path, good: np.ndarray):
    rng = np.random.default_rng(7)
    table_at = int(header(good)["table_at"][0])
    numbers = np.r_[0:FIELDS_AT, SAMPLES_AT : SAMPLES_AT + 5 * SAMPLE.itemsize, table_at : len(good)]
    names = np.concatenate([FIELDS_AT + field * FIELD.itemsize + np.arange(17) for field in range(3)])
    places = np.concatenate([numbers, names])
    path, refused = tmp_path / "flip.beton", 0
    good.tofile(path)
    disk = np.memmap(path, np.uint8, mode="r+")
    for _ in range(1500):
        where = rng.choice(places, rng.integers(1, 4), replace=False)
        disk[where] = rng.integers(0, 256, len(where))
        try:
            file = BetonFile(path)
            assert file.images(np.arange(len(file))).shape == (len(file), *file.image_shape)
        except Refused:
            refused += 1
        disk[where] = good[where]
    assert refused > 500


@pytest.fixture(scope="module")
def good_jpeg(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("good") / "a.beton"
    write_beton(path, *arrays(5, 16, 24), jpeg_quality=90)
    return np.fromfile(path, np.uint8)


def page(data: np.ndarray, row: int) -> np.ndarray:
    """Returns the bytes of an image in the file."""
    at, size = (int(table(data)[name][row]) for name in ("at", "size"))
    return data[at : at + size]


JPEG_MUTATIONS = {
    "size 0": (set_table("size", 0), "an image 0 bytes"),
    "size grown to the next image": (set_table("size", 4000), "overlap"),
    "size beyond a page": (set_table("size", 2**22), "bytes or another 4194304"),
    "size of 2^64 - 1": (set_table("size", 2**64 - 1), "bytes or another"),
    "last size grown beyond its page": (set_table("size", 1 << 21, 4), "crosses a page|outside the data"),
    "one raw image": (set_image("mode", 1), r"image modes \[0, 1\]"),
    "all raw": (set_image("mode", 1, slice(None)), "another size than 1152"),
    "duplicate pointer": (set_both(lambda data, at: at), "overlap"),
    "pointer into the header": (set_both(lambda data, at: 0), "outside the data"),
    "pointer into the table": (set_both(lambda data, at: len(data) - 126), "outside the data"),
    "pointer past the end": (set_both(lambda data, at: 2**64 - 1), "outside the data"),
    "one wider image": (set_image("width", 25), "different sizes"),
    "images above the cap": (set_image("height", 65535, slice(None)), "images of 65535x24"),
}


@pytest.mark.parametrize(("mutate", "reason"), JPEG_MUTATIONS.values(), ids=JPEG_MUTATIONS.keys())
def test_a_mutated_file_of_jpeg_pages_is_refused_with_the_reason(tmp_path: Path, good_jpeg, mutate, reason: str):
    path = tmp_path / "bad.beton"
    mutate(good_jpeg.copy()).tofile(path)
    with pytest.raises(Refused, match=reason):
        BetonFile(path)


def fill(data: bytes):
    def mutate(file: np.ndarray) -> np.ndarray:
        room = page(file, 1)
        assert len(data) <= len(room)
        room[:] = 0
        room[: len(data)] = np.frombuffer(data, np.uint8)
        return file

    return mutate


FLAT = np.zeros((16, 24, 3), np.uint8)
PAGES = {
    "a header of another size": (fill(pillow(np.zeros((24, 16, 3), np.uint8))), "16x24 RGB, not JPEG of 24x16"),
    "metadata of another size": (set_image("height", 17, slice(None)), "24x16 RGB, not JPEG of 24x17"),
    "a gray JPEG": (fill(pillow(FLAT[..., 0])), "24x16 L, not JPEG"),
    "a progressive JPEG": (fill(pillow(FLAT, progressive=True)), "progressive"),
    "a PNG": (fill(pillow(FLAT, "PNG")), "no JPEG image"),
    "zeros": (fill(b""), "no JPEG image"),
    "half a JPEG": (fill(pillow(FLAT)[:-30]), "does not decode|no JPEG"),
    "a shrunk size": (set_table("size", 700), "does not decode"),
    "a header alone": (set_table("size", 20), "does not decode|no JPEG"),
}


@pytest.mark.parametrize(("mutate", "reason"), PAGES.values(), ids=PAGES.keys())
def test_a_page_that_is_not_the_jpeg_its_file_describes_is_refused_when_read(tmp_path: Path, good_jpeg, mutate, reason):
    path = tmp_path / "bad.beton"
    mutate(good_jpeg.copy()).tofile(path)
    file = BetonFile(path)
    with pytest.raises(Refused, match=reason):
        file.images(np.array([1]))


def test_raw_pixels_declared_to_be_jpeg_are_refused_when_read(tmp_path: Path, good: np.ndarray):
    set_image("mode", 0, slice(None))(good.copy()).tofile(tmp_path / "a.beton")
    with pytest.raises(Refused, match="image 3 is no page of this file: no JPEG image"):
        BetonFile(tmp_path / "a.beton").images(np.array([3]))


def test_a_table_of_jpeg_pages_in_another_order_is_read(tmp_path: Path, good_jpeg: np.ndarray):
    for name, order in (("a.beton", [0, 1, 2, 3, 4]), ("b.beton", [3, 1, 0, 4, 2])):
        data = good_jpeg.copy()
        table(data)[:] = table(data)[order]
        data.tofile(tmp_path / name)
    one, two = (BetonFile(tmp_path / name).images(np.arange(5)) for name in ("a.beton", "b.beton"))
    np.testing.assert_array_equal(one, two)


def test_flipped_bytes_of_jpeg_files_are_refused_or_read_without_a_crash(tmp_path: Path, good_jpeg: np.ndarray):
    rng = np.random.default_rng(8)
    table_at, first = int(header(good_jpeg)["table_at"][0]), int(table(good_jpeg)["at"].min())
    last = first + int(table(good_jpeg)["size"].sum())
    places = np.r_[SAMPLES_AT : SAMPLES_AT + 5 * SAMPLE.itemsize, table_at : len(good_jpeg), first:last]
    path, refused = tmp_path / "flip.beton", 0
    good_jpeg.tofile(path)
    disk = np.memmap(path, np.uint8, mode="r+")
    for _ in range(1000):
        where = rng.choice(places, rng.integers(1, 4), replace=False)
        disk[where] = rng.integers(0, 256, len(where))
        try:
            file = BetonFile(path)
            assert file.images(np.arange(len(file))).shape == (len(file), *file.image_shape)
        except Refused:
            refused += 1
        disk[where] = good_jpeg[where]
    assert 50 < refused < 1000
