"""Files below class folders are numbered samples; only regular images among them are read."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources import class_folders
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.imagenet200 import ImageNet200
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders


def test_row_input_16_only_regular_files_below_the_root_are_read(tmp_path):
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


@pytest.fixture
def deep_root(tmp_path):
    """Two class folders; what is nested in them is removed by a program without recursion."""
    root = write_class_folders(tmp_path / "d", {"cat": 1, "dog": 1})
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=True)


def test_folders_that_are_nested_a_thousand_deep_are_listed(deep_root):
    """Input row 16: recursion ended such a run in a traceback."""
    root = deep_root
    folder = str(root / "cat")
    for _ in range(1100):
        folder += "/d"
        os.mkdir(folder)
    source = ImageFolder(str(root))
    assert source.labels("train").tolist() == [0, 1]
    assert len(source.signature("train")) == 64
    assert source.read("train", 0, 9).origin == ("cat/0.png", "dog/0.png")


def test_folders_nested_deeper_than_a_path_may_be_long_are_refused(deep_root):
    root = deep_root
    here = os.getcwd()
    os.chdir(root / "cat")
    try:
        for _ in range(50):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    finally:
        os.chdir(here)
    source = ImageFolder(str(root))
    for question in (source.labels, source.signature):
        with pytest.raises(InputError, match=r"cannot list .*: File name too long") as refusal:
            question("train")
        assert len(str(refusal.value)) < 500


def test_files_come_in_the_order_of_their_paths_part_by_part(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 1, "dog": 1})
    for name in ("b/x.png", "b-/y.png", "b.png", "a/z.png", "b/a/q.png"):
        (root / "cat" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "cat" / name).write_bytes(random_png())
    origin = ImageFolder(str(root)).read("train", 0, 99).origin
    expected = sorted(path.relative_to(root) for path in root.rglob("*.png"))
    assert list(origin) == [str(path) for path in expected]


@pytest.mark.parametrize("settled", [True, False])
def test_a_change_two_folders_below_a_class_is_seen(settled, tmp_path, monkeypatch):
    """Input row 16: the listing was kept by the time of the class folder alone, which stays."""
    root = write_class_folders(tmp_path / "d", {"cat/deep/er": 3, "dog": 3})
    if settled:
        monkeypatch.setattr(class_folders, "_SETTLED_NS", 0)
        time.sleep(0.05)
    source = ImageFolder(str(root))
    assert len(source.labels("train")) == 6
    deep = root / "cat" / "deep" / "er"
    times = os.stat(deep)
    (deep / "9.png").write_bytes(random_png())
    # Whoever adds a file can turn the clock of its folder back.
    os.utime(deep, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(source.labels("train")) == 7
    assert "cat/deep/er/9.png" in source.read("train", 0, 9).origin
    (deep / "9.png").unlink()
    (deep / "0.png").unlink()
    assert len(source.labels("train")) == 5
    assert source.read("train", 0, 9).rejected == ()


def test_a_listing_at_rest_is_kept(tmp_path, monkeypatch):
    root = write_class_folders(tmp_path / "d", {"cat/deep": 3, "dog": 3})
    monkeypatch.setattr(class_folders, "_SETTLED_NS", 0)
    time.sleep(0.05)
    source = ImageFolder(str(root))
    source.read("train", 0, 9)
    num_walks = class_folders._list_files.cache_info().misses
    source.read("train", 0, 9)
    assert class_folders._list_files.cache_info().misses == num_walks


@pytest.mark.parametrize("question", ["labels", "signature", "read"])
def test_a_file_or_folder_that_vanishes_while_it_is_listed_is_a_change(
    question, tmp_path, monkeypatch
):
    """A subfolder that is gone between two calls ended in a traceback."""
    root = write_class_folders(tmp_path / "d", {"cat/deep": 3, "dog": 3})
    real_scandir = os.scandir

    def scandir(path):
        if Path(path).name == "deep":
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    source = ImageFolder(str(root))
    arguments = ("train", 0, 9) if question == "read" else ("train",)
    with pytest.raises(RunError, match=r"files of the source changed.*deep"):
        getattr(source, question)(*arguments)


def test_very_many_class_folders_are_refused(tmp_path, monkeypatch):
    """Input row 15: the text of a source that reaches reports has a limit."""
    monkeypatch.setattr(class_folders, "MAX_CLASSES", 3)
    root = write_class_folders(tmp_path / "d", {"a": 1, "b": 1, "c": 1})
    assert ImageFolder(str(root)).info().num_classes == 3
    (root / "d").mkdir()
    with pytest.raises(InputError, match="4 class folders in .* more than 3"):
        ImageFolder(str(root)).info()


def test_the_longest_names_that_a_file_system_takes_are_cut(tmp_path):
    """Input row 15: 255 bytes that are no text become four characters each."""
    name = os.fsdecode(b"\xff" * 255)
    root = write_class_folders(tmp_path / "d", {name: 1, "dog": 1})
    long_name = ImageFolder(str(root)).info().class_names[1]
    assert len(long_name) == 255
    assert long_name.startswith("\\udcff")
    with pytest.raises(InputError, match="has 2 class folders") as refusal:
        write_class_folders(tmp_path / "e" / "train", {name: 1, "dog": 1})
        ImageNet200(str(tmp_path / "e"), num_classes=3).info()
    assert len(str(refusal.value)) < 400
