"""A split that was listed once is read as it was then, or the run ends with a reason."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import DamageError, RunError
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.sources.listing import (
    SOURCE_CHANGED,
    CapturedSplit,
    ListedSource,
    capture_split,
    iterate_split,
)
from ray_defense.data.sources.parquet import Parquet
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders, write_parquet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """7 images of two classes, and 3 in a test set, one of a class that training lacks."""
    root = tmp_path / "d"
    write_class_folders(root / "train", {"cat": 4, "dog": 3})
    write_class_folders(root / "test", {"cow": 1, "dog": 2})
    return root


def captured_folder(folder: Path) -> tuple[CapturedSplit, np.ndarray]:
    return capture_split(ImageFolder(str(folder)), "train", folder.parent / "lists", 3)


def test_a_captured_split_is_the_split(folder: Path):
    source = ImageFolder(str(folder))
    captured, labels = captured_folder(folder)
    captured = pickle.loads(pickle.dumps(captured))
    assert captured.info == source.info()
    assert captured.signature == source.signature("train")
    assert np.array_equal(labels, source.labels("train"))
    assert labels.dtype == np.int64
    for low, high in ((0, 3), (3, 6), (6, 7)):
        part = captured.read(low, high)
        expected = source.read("train", low, high)
        assert np.array_equal(part.images, expected.images)
        assert np.array_equal(part.index, expected.index)
        assert np.array_equal(part.labels, expected.labels)
        assert part.origin == expected.origin


def test_a_flipped_bit_in_a_list_of_files_is_noticed(folder: Path):
    """A changed digit of a label in the list gave the sample that label, without a word."""
    captured, _ = captured_folder(folder)
    (path, *_) = sorted((folder.parent / "lists").iterdir())
    data = bytearray(path.read_bytes())
    position = data.index(b", 0, ")  # the label of a cat
    data[position + 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match=f"{path} is damaged: remove {path} and run again"):
        captured.read(0, 3)


def test_names_that_are_no_text_travel_with_the_list(tmp_path: Path):
    root = write_class_folders(tmp_path / "d", {os.fsdecode(b"\xff\n"): 2, "ü": 1})
    captured, _ = capture_split(ImageFolder(str(root)), "train", tmp_path / "lists", 9)
    assert len(captured.read(0, 3).index) == 3


def test_a_file_that_is_added_shifts_no_sample(folder: Path):
    captured, _ = captured_folder(folder)
    (folder / "train" / "cat" / "00.png").write_bytes(random_png())
    assert captured.read(0, 3).origin == ("train/cat/0.png", "train/cat/1.png", "train/cat/2.png")


@pytest.mark.parametrize("change", ["removed", "replaced", "folder gone", "longer", "a link now"])
def test_a_listed_file_that_changes_ends_the_run_with_a_reason(change: str, folder: Path):
    captured, _ = captured_folder(folder)
    file = folder / "train" / "cat" / "1.png"
    if change == "removed":
        file.unlink()
    elif change == "replaced":
        file.write_bytes(random_png())
        os.utime(file, ns=(1, 1))
    elif change == "folder gone":
        (folder / "train" / "cat").rename(folder / "train" / "cow")
    elif change == "longer":
        status = file.stat()
        file.write_bytes(file.read_bytes() + b"x")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        file.unlink()
        file.symlink_to(folder / "train" / "cat" / "2.png")
    with pytest.raises(RunError, match=rf"{SOURCE_CHANGED} \(first noticed at .*cat"):
        captured.read(0, 3)


def test_a_table_that_changes_ends_the_run_with_a_reason(tmp_path: Path):
    images = [random_png() for _ in range(4)]
    file = write_parquet(tmp_path / "train.parquet", images, [0, 1, 0, 1])
    captured, labels = capture_split(Parquet(str(file)), "train", tmp_path / "lists", 2)
    assert labels.tolist() == [0, 1, 0, 1]
    assert captured.read(0, 2).index.tolist() == [0, 1]
    write_parquet(file, images[1:], [1, 0, 1])
    with pytest.raises(RunError, match=SOURCE_CHANGED):
        captured.read(2, 4)
    assert not (tmp_path / "lists").exists()


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_in_batches_is_the_split(split: str, folder: Path):
    for source, batch_size in ((ImageFolder(str(folder)), 2), (Digits(size=8), 500)):
        batches = list(iterate_split(source, split, batch_size))
        whole = source.read(split, 0, 10_000)
        index = np.concatenate([batch.index for batch in batches])
        images = np.concatenate([batch.images for batch in batches])
        rejected = [sample for batch in batches for sample in batch.rejected]
        assert np.array_equal(index, whole.index)
        assert np.array_equal(images, whole.images)
        assert tuple(rejected) == whole.rejected


def test_a_test_file_that_is_added_meanwhile_shifts_no_sample(folder: Path):
    batches = iterate_split(ImageFolder(str(folder)), "test", 2)
    origins = list(next(batches).origin)
    (folder / "test" / "cow" / "00.png").write_bytes(random_png())
    for batch in batches:
        origins += batch.origin
    assert origins == ["test/dog/0.png", "test/dog/1.png"]


def test_every_source_of_class_folders_gives_a_list(folder: Path):
    (folder / "train" / "cow").mkdir()
    (folder / "test" / "cat").mkdir()
    for source in (ImageFolder(str(folder)), ImageNet200(str(folder), num_classes=3)):
        assert isinstance(source, ListedSource)
        captured, labels = capture_split(source, "train", folder / "lists", 4)
        assert captured.listings is not None
        assert len(captured.read(4, 7).index) == 3
        assert len(labels) == 7
