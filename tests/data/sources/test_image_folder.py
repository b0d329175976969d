"""Folders of images as a source: with or without a test set, and refused if they are neither."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.source_files import write_class_folders


def test_a_folder_without_train_is_a_training_set_alone(tmp_path):
    root = write_class_folders(tmp_path / "d", {"zebra": 2, "ant": 1})
    source = ImageFolder(str(root))
    assert source.info().class_names == ("ant", "zebra")
    assert source.labels("train").tolist() == [0, 1, 1]
    assert source.labels("test").tolist() == []
    assert len(source.read("test", 0, 9).index) == 0
    assert source.read("train", 0, 9).origin == ("ant/0.png", "zebra/0.png", "zebra/1.png")


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    write_class_folders(tmp_path / "half" / "test", {"cat": 1})
    write_class_folders(tmp_path / "linked", {"cat": 1})
    (tmp_path / "linked" / "dog").symlink_to(tmp_path / "half")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "train").symlink_to(tmp_path / "linked")
    write_class_folders(tmp_path / "broken" / "train", {"cat": 1})
    (tmp_path / "broken" / "test").symlink_to(tmp_path / "gone")
    reasons = {
        "gone": "no folder",
        "empty": "no class",
        "half": "no train",
        "linked": "link",
        "moved": "link",
        "broken": "link",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason):
            ImageFolder(str(tmp_path / name)).labels("train")
    with pytest.raises(InputError, match="no folder"):
        ImageFolder().info()


def test_images_beside_train_are_not_left_out_in_silence(tmp_path):
    """Classes of which one is called "train": the others were left out without a word."""
    root = write_class_folders(tmp_path / "d", {"train/a": 1, "train/b": 1, "cat": 1, "x/dog": 1})
    (root / "notes").mkdir()
    (root / "notes" / "readme.txt").write_text("no image")
    source = ImageFolder(str(root))
    for question in (
        source.info,
        lambda: source.labels("train"),
        lambda: source.read("train", 0, 9),
    ):
        with pytest.raises(InputError, match=r"train/ and beside it images in 'cat', 'x', which"):
            question()


def test_what_other_programs_keep_beside_train_does_not_matter(tmp_path):
    counts = {"train/a": 1, "train/b": 1, "val/a": 1, "test/a": 1, ".cache": 1, "__MACOSX": 1}
    root = write_class_folders(tmp_path / "d", counts)
    (root / "annotations").mkdir()
    (root / "annotations" / "a.xml").write_text("<a/>")
    (root / "list.png").write_bytes(b"")
    source = ImageFolder(str(root))
    assert source.info().class_names == ("a", "b")
    assert source.labels("test").tolist() == [0]
