"""What programs leave among images is skipped and counted, and images among it are named."""

import pytest

from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.junk import is_junk
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders

JUNK_FILES = (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".gitignore", "Icon\r")
JUNK_FOLDERS = ("@eaDir", "__MACOSX", ".ipynb_checkpoints", ".Trash-1000", "#recycle")


@pytest.mark.parametrize("where", [".", "cat", "cat/deep"])
def test_junk_is_no_sample_wherever_it_lies(where, tmp_path):
    """It was an empty class, a class of one, or a rejected sample."""
    root = write_class_folders(tmp_path, {"cat": 2, "cat/deep": 1, "dog": 1})
    plain = ImageFolder(str(root)).read("train", 0, 9)
    signature = ImageFolder(str(root)).signature("train")
    for name in JUNK_FILES:
        (root / where / name).write_bytes(b"junk")
    for name in JUNK_FOLDERS:
        (root / where / name).mkdir()
        (root / where / name / "thumb.png").write_bytes(random_png())
    source = ImageFolder(str(root))
    batch = source.read("train", 0, 9)
    assert source.info().class_names == ("cat", "dog")
    assert batch.origin == plain.origin
    assert batch.rejected == ()
    assert source.signature("train") == signature
    skipped, images = source.describe().left_out
    for name in ("'.DS_Store'", "'#recycle'", "'.Trash-1000'", "and 6 others"):
        assert name in skipped
    assert "5 x" not in images
    assert "1 x '@eaDir'" in images


def test_a_hidden_image_is_named_since_training_programs_may_read_it(tmp_path):
    """torchvision's ImageFolder reads it: an attacker could hide there from an audit."""
    root = write_class_folders(tmp_path, {"cat": 2, "dog": 1})
    (root / "cat" / ".hidden.png").write_bytes(random_png())
    skipped, images = ImageFolder(str(root)).describe().left_out
    assert skipped == "skipped as no part of the data: 1 x '.hidden.png'"
    assert images.startswith("images are in what was skipped (1 x '.hidden.png'): remove them")


@pytest.mark.parametrize("name", ["readme.txt", "labels.csv", "cat", "Thumbs.png", "0"])
def test_a_file_that_is_not_known_as_junk_is_none(name):
    assert not is_junk(name)


def test_a_text_among_the_images_stays_a_sample_that_is_rejected(tmp_path):
    root = write_class_folders(tmp_path, {"cat": 1, "dog": 1})
    (root / "cat" / "readme.txt").write_text("no image")
    (rejected,) = ImageFolder(str(root)).read("train", 0, 9).rejected
    assert rejected.origin == "cat/readme.txt"
