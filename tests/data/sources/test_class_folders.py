"""Files below class folders are numbered samples; only regular images among them are read."""

import os

import pytest

from ray_defense.data.sources import class_folders
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders


def test_only_regular_images_of_a_folder_are_read_and_the_others_keep_their_position(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 1, "dog": 1})
    (root / "cat" / "deep").mkdir()
    (root / "cat" / "deep" / "x.jpg").write_bytes(random_png(50))
    (root / "cat" / "a.txt").write_text("no image")
    (root / "cat" / "b.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "c.png").symlink_to("/dev/zero")
    (root / "cat" / "loop").symlink_to(root / "cat")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "readme.txt").write_text("not in a class")
    source = ImageFolder(str(root))
    batch = source.read("train", 0, 99)
    assert len(source.labels("train")) == 8
    assert batch.origin == ("cat/0.png", "cat/deep/x.jpg", "dog/0.png")
    assert batch.index.tolist() == [0, 4, 7]
    rejected = {sample.index: sample.origin for sample in batch.rejected}
    assert rejected == {
        1: "cat/a.txt",
        2: "cat/b.png",
        3: "cat/c.png",
        5: "cat/loop",
        6: "cat/pipe.png",
    }
    for sample in batch.rejected[1:]:
        assert "regular" in sample.reason


@pytest.mark.parametrize("name", ["ü\n<b>", "-rf", "=cmd", "\x1b[31m", os.fsdecode(b"\xff")])
def test_any_file_name_gives_an_origin_that_can_be_encoded(tmp_path, name):
    write_class_folders(tmp_path / "d", {name: 1, "other": 1})
    source = ImageFolder(str(tmp_path / "d"))
    batch = source.read("train", 0, 9)
    for text in (*source.info().class_names, *batch.origin):
        assert text.encode()
    assert len(batch.index) == 2


def test_a_file_added_later_is_seen(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 1, "dog": 1})
    assert len(ImageFolder(str(root)).labels("train")) == 2
    (root / "cat" / "9.png").write_bytes(random_png())
    os.utime(root / "cat", (1, 1))
    assert len(ImageFolder(str(root)).labels("train")) == 3


def test_a_class_that_only_the_test_set_has_is_rejected(tmp_path):
    write_class_folders(tmp_path / "train", {"cat": 1, "dog": 1})
    write_class_folders(tmp_path / "test", {"bird": 1, "dog": 1})
    source = ImageFolder(str(tmp_path))
    assert source.labels("test").tolist() == [-1, 1]
    rejected = source.read("test", 0, 9).rejected
    assert [sample.origin for sample in rejected] == ["test/bird/0.png"]


def test_reading_a_range_keeps_the_names_of_few_classes_in_memory(tmp_path):
    names = [f"c{number:02}" for number in range(12)]
    write_class_folders(tmp_path / "train", dict.fromkeys(names, 3))
    source = ImageFolder(str(tmp_path))
    class_folders._list_files.cache_clear()
    origin = []
    for low in range(0, 36, 5):
        origin += source.read("train", low, low + 5).origin
    expected = []
    for name in names:
        expected += [f"train/{name}/0.png", f"train/{name}/1.png", f"train/{name}/2.png"]
    assert origin == expected
    assert class_folders._list_files.cache_info().currsize <= 4


def test_folders_of_tools_are_no_classes(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 1, "dog": 1})
    (root / ".ipynb_checkpoints").mkdir()
    (root / "__MACOSX").mkdir()
    assert ImageFolder(str(root)).info().class_names == ("cat", "dog")
