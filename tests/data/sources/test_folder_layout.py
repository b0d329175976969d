"""Folders are splits or classes as their users mean it, or refused with what settles it."""

from pathlib import Path

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders

CLASSES = {"cat": 2, "dog": 1}


def write_splits(root: Path, *names: str) -> Path:
    for name in names:
        write_class_folders(root / name, CLASSES)
    return root


def write_flat(folder: Path, count: int = 1) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(random_png())


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("Train", "Test"),
        ("TRAINING", "Testing"),
        ("training", "Validation"),
    ],
)
def test_splits_are_known_by_their_names_in_any_case(train, test, tmp_path):
    """`train/` with `val/` had no test set, and `Train/` with `Test/` was a set of two classes."""
    source = ImageFolder(str(write_splits(tmp_path, train, test)))
    assert source.info().class_names == ("cat", "dog")
    assert source.labels("train").tolist() == [0, 0, 1]
    assert source.read("test", 0, 9).origin[0] == f"{test}/cat/0.png"
    recognized = source.describe().recognized
    assert recognized[0].startswith(f"'{train}/' is the training set: 3 files in 2 classes")
    assert f"'{test}/' is the test set: 3 files" in recognized


def test_beside_test_what_becomes_of_val_is_said(tmp_path):
    source = ImageFolder(str(write_splits(tmp_path, "train", "test", "val")))
    assert source.read("test", 0, 1).origin == ("test/cat/0.png",)
    assert source.describe().left_out == ("'val' is not used: 'test' is the test set",)


@pytest.mark.parametrize("names", [("val",), ("test",), ("Test", "validation")])
def test_a_test_split_alone_is_refused_with_the_path_that_reads_it(names, tmp_path):
    source = ImageFolder(str(write_splits(tmp_path, *names)))
    with pytest.raises(InputError, match=r"but no train/: .* set path to .* to read it alone"):
        source.info()
    assert ImageFolder(str(tmp_path / names[0])).labels("train").tolist() == [0, 0, 1]


def test_splits_without_classes_are_refused(tmp_path):
    """Images in `Train/` and `Test/` were a data set of these two classes."""
    write_flat(tmp_path / "Train")
    write_flat(tmp_path / "Test")
    with pytest.raises(InputError, match="images lie directly in .*Train.*layout=classes"):
        ImageFolder(str(tmp_path)).info()
    source = ImageFolder(str(tmp_path), layout="classes")
    assert source.info().class_names == ("Test", "Train")


def test_a_class_that_is_called_train_is_a_class(tmp_path):
    """CIFAR-100 has one: only its images were read, or none."""
    root = write_class_folders(tmp_path, {"apple": 2, "bear": 1, "train": 1})
    source = ImageFolder(str(root))
    assert source.info().class_names == ("apple", "bear", "train")
    assert source.labels("train").tolist() == [0, 0, 1, 2]
    assert source.labels("test").tolist() == []
    (said,) = source.describe().left_out
    assert said == "'train' is read as a class, like the folders beside it"
    as_splits = ImageFolder(str(root), layout="splits")
    with pytest.raises(InputError, match="images lie directly in"):
        as_splits.info()


def test_a_folder_called_test_among_classes_is_not_guessed(tmp_path):
    root = write_class_folders(tmp_path, {"cat": 2, "dog": 1, "test": 1})
    with pytest.raises(InputError, match=r"has 'test' and beside it images in 'cat', 'dog'"):
        ImageFolder(str(root)).info()
    assert ImageFolder(str(root), layout="classes").info().num_classes == 3


def test_the_layout_can_be_set_where_it_is_ambiguous(tmp_path):
    root = write_splits(tmp_path, "train")
    write_flat(root / "extra")
    with pytest.raises(InputError, match=r"would be left out: .*layout=splits .*layout=classes"):
        ImageFolder(str(root)).info()
    splits = ImageFolder(str(root), layout="splits")
    assert splits.info().class_names == ("cat", "dog")
    assert splits.describe().left_out == ("'extra' is neither training nor test set",)
    as_classes = ImageFolder(str(root), layout="classes", classes="top")
    assert as_classes.info().class_names == ("extra", "train")
    with pytest.raises(InputError, match="has no train/"):
        ImageFolder(str(root / "train"), layout="splits").info()


def test_two_folders_for_one_split_are_refused(tmp_path):
    source = ImageFolder(str(write_splits(tmp_path, "train", "val", "validation")))
    with pytest.raises(InputError, match="'val', 'validation' may all be the same split"):
        source.info()


def test_unlabeled_test_images_are_no_test_set_and_that_is_said(tmp_path):
    write_splits(tmp_path, "train", "val")
    write_flat(tmp_path / "test")
    source = ImageFolder(str(tmp_path))
    assert source.read("test", 0, 1).origin == ("val/cat/0.png",)
    (said,) = source.describe().left_out
    assert said == "'test' is not used as a test set: its images lie in no class folders"


def test_tiny_imagenet_as_it_is_unpacked_is_read(tmp_path):
    write_class_folders(tmp_path / "train", {"n01/images": 2, "n02/images": 1})
    (tmp_path / "train" / "n01" / "n01_boxes.txt").write_text("0 0 1 1")
    write_flat(tmp_path / "test" / "images")
    write_flat(tmp_path / "val" / "images")
    source = ImageFolder(str(tmp_path))
    assert source.info().class_names == ("n01", "n02")
    assert source.labels("test").tolist() == []
    assert len(source.describe().left_out) == 2


def test_folders_of_folders_are_read_at_the_depth_that_is_set(tmp_path):
    """A taxonomy lost its leaves, without a word."""
    counts = {"animal/cat": 2, "animal/dog": 1, "vehicle/car": 1}
    root = write_class_folders(tmp_path / "d", counts)
    with pytest.raises(InputError, match=r"'animal/cat' and 'animal/dog': set classes=leaf"):
        ImageFolder(str(root)).info()
    leaf = ImageFolder(str(root), classes="leaf")
    assert leaf.info().class_names == ("animal/cat", "animal/dog", "vehicle/car")
    assert leaf.labels("train").tolist() == [0, 0, 1, 2]
    assert leaf.read("train", 0, 9).origin[2:] == ("animal/dog/0.png", "vehicle/car/0.png")
    assert "each folder of images is one" in leaf.describe().recognized[0]
    top = ImageFolder(str(root), classes="top")
    assert top.info().class_names == ("animal", "vehicle")
    assert top.labels("train").tolist() == [0, 0, 0, 1]


def test_a_leaf_that_holds_further_leaves_has_its_own_images_alone(tmp_path):
    root = write_class_folders(tmp_path / "d", {"a": 1, "a/b": 2, "a/b/c": 1, "z/y": 1})
    (root / "z" / "readme.txt").write_text("no image")
    source = ImageFolder(str(root), classes="leaf")
    assert source.info().class_names == ("a", "a/b", "a/b/c", "z/y")
    assert source.labels("train").tolist() == [0, 1, 1, 2, 3]
    (said,) = source.describe().left_out
    assert said == "left out: 1 file in the whole folder beside the class folders"
    listing = source.list_files("train")
    paths = [file.path for file in listing.files]
    assert paths == ["a/0.png", "a/b/0.png", "a/b/1.png", "a/b/c/0.png", "z/y/0.png"]


def test_images_in_one_folder_below_each_class_need_no_setting(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat/2020": 2, "dog/deep/er": 1, "cow": 1})
    assert ImageFolder(str(root)).info().class_names == ("cat", "cow", "dog")


def test_the_folder_that_an_archive_was_unpacked_into_is_named(tmp_path):
    write_splits(tmp_path / "inner", "train")
    with pytest.raises(InputError, match=r"single folder 'inner', .*set path to .*inner"):
        ImageFolder(str(tmp_path)).info()
