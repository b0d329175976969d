"""FFCV files of users are sources: raw or JPEG, of one size or many, checked before any image."""

import os
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.image_sides import measured_side
from ray_defense.data.shards.beton import (
    FIELD,
    FIELDS,
    HEADER,
    JPEG,
    MIN_PAGE_SIZE,
    RAW,
    TABLE,
    VERSION,
    data_start,
    sample_dtype,
)
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.sources.beton import Beton
from ray_defense.data.sources.recognize import recognize
from tests.support.beton_files import random_samples
from tests.support.encoded_images import encode_image, random_picture


def write_mixed(path: Path, images: list[np.ndarray | bytes], sides: list[tuple[int, int]]) -> Path:
    """Writes raw images (arrays) and JPEGs (bytes) as FFCV does, without an index; labels 0, 1, ...

    Args:
        path: The file.
        images: The images.
        sides: What the metadata say of each, height and width.
    """
    num = len(images)
    header = np.zeros(1, HEADER)
    samples = np.zeros(num, sample_dtype(2))
    table = np.zeros(num, TABLE)
    first = data_start(num, 2, MIN_PAGE_SIZE)
    pages = bytearray()
    for row, image in enumerate(images):
        data = image if isinstance(image, bytes) else image.tobytes()
        mode = JPEG if isinstance(image, bytes) else RAW
        height, width = sides[row]
        samples["image"][row] = (mode, width, height, first + len(pages))
        samples["label"][row] = row % 3
        table[row] = (row, first + len(pages), len(data))
        pages += data
    pages += bytes(-len(pages) % MIN_PAGE_SIZE)
    header[0] = (VERSION, 2, MIN_PAGE_SIZE, num, first + len(pages))
    fields = np.zeros(2, FIELD)
    for number, (name, kind) in enumerate(FIELDS[:2]):
        fields[number] = (kind, name, bytes(1024))
    head = header.tobytes() + fields.tobytes() + samples.tobytes()
    path.write_bytes(head + bytes(first - len(head)) + bytes(pages) + table.tobytes())
    return path


@pytest.mark.parametrize("quality", [None, 95])
def test_a_file_of_one_size_is_read_as_it_is(tmp_path, quality):
    images, _, index = random_samples(7, 32, 32)
    labels = np.arange(7) % 3
    write_beton(tmp_path / "train.beton", images, labels, index, jpeg_quality=quality)
    write_beton(tmp_path / "val.beton", images[:2], labels[:2], index[:2], jpeg_quality=quality)
    recognized = recognize(str(tmp_path))
    source = recognized.source
    assert source == Beton(str(tmp_path))
    assert "a folder of FFCV files, 3 classes" in recognized.sentences[0]
    assert source.info().class_names == ("0", "1", "2")
    assert source.labels("train").tolist() == labels.tolist()
    assert source.labels("test").tolist() == [0, 1]
    batch = source.read("train", 2, 9)
    assert batch.index.tolist() == [2, 3, 4, 5, 6]
    if quality is None:
        assert np.array_equal(batch.images, images[2:])
    for sample in source.read_encoded("train", 2, 4):
        assert np.array_equal(source.decode(sample.content), batch.images[sample.index - 2])
    assert recognize(str(tmp_path / "val.beton")).source.labels("train").tolist() == [0, 1]


def test_images_of_many_sizes_and_both_modes_are_read_and_resized(tmp_path):
    pictures = [random_picture(32), random_picture(48), random_picture(64)]
    images = [pictures[0], encode_image(pictures[1], "JPEG"), pictures[2]]
    file = write_mixed(tmp_path / "a.beton", images, [(32, 32), (48, 48), (64, 64)])
    source = Beton(str(file))
    batch = source.read("train", 0, 3)
    assert batch.images.shape == (3, 32, 32, 3)
    assert np.array_equal(batch.images[0], pictures[0])
    assert batch.labels.tolist() == [0, 1, 2]
    assert measured_side(source, 3) == 48
    same = Beton(str(file), size=64)
    assert np.array_equal(same.read("train", 2, 3).images[0], pictures[2])


def test_a_jpeg_that_is_damaged_or_of_another_size_is_rejected_by_itself(tmp_path):
    jpeg = encode_image(random_picture(32), "JPEG")
    images = [jpeg, jpeg[:60], jpeg, b"text" * 30, encode_image(random_picture(32)), jpeg]
    sides = [(32, 32), (32, 32), (32, 16), (32, 32), (32, 32), (7, 7)]
    source = Beton(str(write_mixed(tmp_path / "a.beton", images, sides)), num_classes=3)
    batch = source.read("train", 0, 9)
    assert batch.index.tolist() == [0]
    assert [sample.index for sample in batch.rejected] == [1, 2, 3, 4, 5]
    assert "which its file says has 16x32" in batch.rejected[1].reason
    assert "under 8" in batch.rejected[4].reason


def test_a_raw_image_of_another_size_than_its_pixels_refuses_the_file(tmp_path):
    jpeg = encode_image(random_picture(32), "JPEG")
    images = [jpeg, random_picture(32), jpeg]
    file = write_mixed(tmp_path / "a.beton", images, [(32, 32), (32, 40), (32, 32)])
    with pytest.raises(InputError, match="another size than 3840 bytes"):
        Beton(str(file)).info()
    file = write_mixed(tmp_path / "b.beton", images, [(65535, 65535), (32, 32), (32, 32)])
    with pytest.raises(InputError, match="images of 1024 to 4294836225 pixels"):
        Beton(str(file)).info()


def test_negative_labels_are_rejected_and_none_else_refused(tmp_path):
    file = write_mixed(tmp_path / "a.beton", [random_picture(8)] * 3, [(8, 8)] * 3)
    data = bytearray(file.read_bytes())
    labels = np.frombuffer(data, sample_dtype(2), 3, HEADER.itemsize + 2 * FIELD.itemsize)["label"]
    labels[1] = -7
    file.write_bytes(data)
    batch = Beton(str(file)).read("train", 0, 3)
    assert batch.index.tolist() == [0, 2]
    labels[:] = -1
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))
    with pytest.raises(InputError, match="has a label that is not negative"):
        Beton(str(file)).info()


def test_a_file_that_changes_while_it_is_read_ends_the_run(tmp_path):
    file = write_mixed(tmp_path / "a.beton", [random_picture(8)] * 3, [(8, 8)] * 3)
    source = Beton(str(file))
    samples = source.read_encoded("train", 0, 3)
    next(samples)
    os.utime(file, ns=(1, 1))
    with pytest.raises(RunError, match="changed while the run was under way"):
        list(samples)
