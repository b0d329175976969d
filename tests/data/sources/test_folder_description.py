"""Whoever reads a folder is told what it was taken for, and what of it nobody reads."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders


def test_classes_that_are_numbers_come_in_their_order(tmp_path):
    """0, 1, 10, 11, 2 was the order of their names as text."""
    root = write_class_folders(tmp_path, {str(number): 1 for number in range(12)})
    source = ImageFolder(str(root))
    assert source.info().class_names == tuple(str(number) for number in range(12))
    assert "each is the label of its images" in source.describe().recognized[-1]


def test_the_labels_of_classes_that_are_other_numbers_are_said(tmp_path):
    root = write_class_folders(tmp_path, {"100": 1, "20": 1, "3": 1})
    source = ImageFolder(str(root))
    assert source.info().class_names == ("3", "20", "100")
    said = source.describe().recognized[-1]
    assert said.endswith("'3' is label 0, '20' is label 1, '100' is label 2")


def test_names_that_are_not_all_numbers_come_as_text_as_in_torchvision(tmp_path):
    root = write_class_folders(tmp_path, {"class10": 1, "class2": 1, "7": 1})
    assert ImageFolder(str(root)).info().class_names == ("7", "class10", "class2")


def test_test_images_of_classes_that_training_lacks_are_counted(tmp_path):
    write_class_folders(tmp_path / "train", {"cat": 1, "dog": 1, "owl": 1})
    write_class_folders(tmp_path / "test", {"bird": 3, "cat": 1, "dog": 1})
    left_out = ImageFolder(str(tmp_path)).describe().left_out
    assert left_out == (
        "left out: 3 files of the test set, of class 'bird', which the training set lacks",
        "the test set has no class 'owl'",
    )


def test_a_test_set_without_a_class_of_the_training_set_is_refused(tmp_path):
    write_class_folders(tmp_path / "train", {"cat": 1, "dog": 1})
    write_class_folders(tmp_path / "test", {"bird": 1, "fish": 1})
    with pytest.raises(
        InputError, match=r"no class of .*\('cat', 'dog'\) is in .*\('bird', 'fish'"
    ):
        ImageFolder(str(tmp_path)).labels("train")


def test_images_beside_the_class_folders_are_counted(tmp_path):
    write_class_folders(tmp_path / "train", {"cat": 1, "dog": 1})
    (tmp_path / "train" / "lost.png").write_bytes(random_png())
    (tmp_path / "train" / "readme.txt").write_text("no image")
    left_out = ImageFolder(str(tmp_path)).describe().left_out
    assert left_out == ("left out: 1 file in 'train/' beside the class folders",)


def test_names_are_shown_in_a_form_that_does_no_harm(tmp_path):
    root = write_class_folders(tmp_path, {"1": 1, "2": 1})
    (root / ".\x1b[31m").mkdir()
    (root / ("." + "x" * 200)).mkdir()
    description = ImageFolder(str(root)).describe()
    for sentence in (*description.recognized, *description.left_out):
        assert sentence.isprintable()
        assert len(sentence) < 500
