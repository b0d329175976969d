"""What is written to a .beton file is read back, and nothing else is written."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from tests.support.beton_files import random_samples, table_view, write_random_beton
from tests.support.encoded_images import encode_image


def smooth_images(count: int, height: int, width: int) -> np.ndarray:
    """Returns images that JPEG keeps nearly as they are."""
    rows = np.linspace(0, 100, height)[:, None, None]
    columns = np.linspace(0, 90, width)[:, None]
    shades = np.arange(count)[:, None, None, None]
    return (rows + columns + np.arange(3) + shades).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_arrays_survive_the_round_trip_bit_for_bit(tmp_path_factory, count, height, width, seed):
    images, labels, index = random_samples(count, height, width, seed=seed)
    path = tmp_path_factory.mktemp("trip") / "a.beton"
    write_beton(path, images, labels, index)
    file = BetonFile(path)
    rows = np.random.default_rng(seed).integers(0, count, 9)
    assert len(file) == count
    assert file.image_shape == (height, width, 3)
    np.testing.assert_array_equal(file.images(rows), images[rows])
    np.testing.assert_array_equal(file.labels, labels)
    np.testing.assert_array_equal(file.index, index)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 100))
def test_jpeg_pages_are_read_as_pillow_decodes_what_pillow_encoded(
    tmp_path_factory, count, height, width, quality
):
    images, labels, index = random_samples(count, height, width)
    path = tmp_path_factory.mktemp("trip") / "a.beton"
    write_beton(path, images, labels, index, jpeg_quality=quality)
    file = BetonFile(path)
    expected = []
    for image in images:
        encoded = encode_image(image, "JPEG", quality=quality, subsampling=0)
        expected.append(np.asarray(Image.open(BytesIO(encoded))))
    assert file.jpeg
    assert file.image_shape == (height, width, 3)
    np.testing.assert_array_equal(file.images(np.arange(count)[::-1]), np.stack(expected)[::-1])
    np.testing.assert_array_equal(file.labels, labels)
    np.testing.assert_array_equal(file.index, index)


def test_jpeg_pages_of_smooth_images_are_smaller_and_close(tmp_path: Path):
    images = smooth_images(60, 64, 48)
    labels = np.zeros(60, np.int64)
    write_beton(tmp_path / "a.beton", images, labels, np.arange(60), jpeg_quality=95)
    file = BetonFile(tmp_path / "a.beton")
    assert np.abs(file.images(np.arange(60)).astype(int) - images).max() <= 4
    assert file.sizes.max() < images[0].nbytes / 3


def test_jpeg_pages_beyond_the_first_never_cross_a_page(tmp_path: Path):
    # Noise, so an image has 100 kB, and all have more than a page of 2 MiB.
    data = write_random_beton(tmp_path / "a.beton", 40, 224, 224, jpeg_quality=90)
    assert len(BetonFile(tmp_path / "a.beton").images(np.array([39, 0]))) == 2
    assert len(np.unique(table_view(data)["offset"] >> 21)) > 1


def test_a_wrong_jpeg_quality_is_refused(tmp_path: Path):
    for quality in (0, 101):
        with pytest.raises(InputError, match="jpeg_quality"):
            write_random_beton(tmp_path / "a.beton", 2, 4, 4, jpeg_quality=quality)


def test_images_of_many_pages_survive_the_round_trip(tmp_path: Path):
    images, labels, index = random_samples(31, 224, 220)  # 28 images fill a page of 4 MiB
    write_beton(tmp_path / "a.beton", images[::-1], labels, index)
    written = BetonFile(tmp_path / "a.beton").images(np.arange(31))
    np.testing.assert_array_equal(written, images[::-1])


def test_the_same_arrays_give_the_same_bytes_and_leave_no_other_file(tmp_path: Path):
    for name in ("a.beton", "b.beton", "b.beton"):
        write_random_beton(tmp_path / name, 700, 32, 32)
    assert (tmp_path / "a.beton").read_bytes() == (tmp_path / "b.beton").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.beton", "b.beton"]


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.beton"
    write_random_beton(path, 2, 4, 4)
    before = path.read_bytes()

    def fail_with_full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail_with_full_disk)
    with pytest.raises(OSError, match="No space"):
        write_random_beton(path, 3, 4, 4)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda images, labels, index: (images.astype(np.float32), labels, index),
        lambda images, labels, index: (images[..., :1], labels, index),
        lambda images, labels, index: (images[0], labels, index),
        lambda images, labels, index: (images[:0], labels[:0], index[:0]),
        lambda images, labels, index: (images[:, :0], labels, index),
        lambda images, labels, index: (
            np.broadcast_to(images[:, :1], (3, 5000, 4, 3)),
            labels,
            index,
        ),
        lambda images, labels, index: (images, labels[:2], index),
        lambda images, labels, index: (images, labels - 100, index),
        lambda images, labels, index: (images, labels, index.astype(np.float64)),
    ],
)
def test_arrays_of_another_type_shape_or_range_are_refused(tmp_path: Path, change):
    images, labels, index = random_samples(3, 4, 4)
    images, labels, index = change(images, labels, index)
    with pytest.raises(InputError):
        write_beton(tmp_path / "a.beton", images, labels, index)
    assert not list(tmp_path.iterdir())
