"""Links are read only where they lead below the folder that the user names, race or not."""

import os
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources import followed_links
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.listing import SOURCE_CHANGED, capture_split
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the files of a dataset lie, as the stores of data versioning keep them."""
    return write_class_folders(tmp_path / "annex", {"objects": 4, "cat": 2})


@pytest.fixture
def folder(tmp_path: Path, store: Path) -> Path:
    """Two classes: one is a folder of links and one file, the other is itself a link."""
    root = write_class_folders(tmp_path / "d" / "train", {"dog": 1}).parent
    for number in range(3):
        (root / "train" / "dog" / f"l{number}.png").symlink_to(store / "objects" / f"{number}.png")
    (root / "train" / "cat").symlink_to(store / "cat")
    return root


def test_links_below_the_named_folder_are_read_under_their_own_names(folder, store):
    """Files, class folders and split folders that were links were all rejected or refused."""
    (folder / "test").symlink_to(folder / "train")
    source = ImageFolder(str(folder), follow_links_below=str(store.parent))
    batch = source.read("train", 0, 9)
    assert batch.rejected == ()
    assert batch.origin[:3] == ("train/cat/0.png", "train/cat/1.png", "train/dog/0.png")
    assert batch.origin[3:] == tuple(f"train/dog/l{number}.png" for number in range(3))
    assert source.read("test", 0, 9).origin[0] == "test/cat/0.png"
    captured, labels = capture_split(source, "train", folder.parent / "lists", 4)
    assert labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert captured.read(0, 4).origin == batch.origin[:4]
    assert captured.signature == source.signature("train")
    assert "are followed" in source.describe().recognized[-1]


def test_without_the_option_the_message_names_it(folder):
    with pytest.raises(InputError, match=r"class folder .*cat.* is a link.* follow_links_below"):
        ImageFolder(str(folder)).info()
    (folder / "train" / "cat").unlink()
    (folder / "train" / "cow").mkdir()
    rejected = ImageFolder(str(folder)).read("train", 0, 9).rejected
    assert len(rejected) == 3
    assert "set follow_links_below to a folder" in rejected[0].reason
    (folder / "test").symlink_to(folder / "train")
    with pytest.raises(InputError, match=r"folder .*test.* is a link.* follow_links_below"):
        ImageFolder(str(folder)).info()


@pytest.mark.parametrize("target", ["/etc/passwd", "gone", "../outside.png", "/dev/zero", "loop"])
def test_a_link_that_leads_elsewhere_is_rejected(target, folder, store):
    (store.parent / "outside.png").write_bytes(random_png())
    (store / "loop").symlink_to(store / "loop")
    link = folder / "train" / "dog" / "l0.png"
    link.unlink()
    link.symlink_to(store / target)
    source = ImageFolder(str(folder), follow_links_below=str(store))
    captured, _ = capture_split(source, "train", folder.parent / "lists", 99)
    for batch in (source.read("train", 0, 9), captured.read(0, 6)):
        (rejected,) = batch.rejected
        assert rejected.origin == "train/dog/l0.png"
        assert "follow_links_below" in rejected.reason


def test_a_class_folder_that_leads_elsewhere_is_refused(folder, store):
    source = ImageFolder(str(folder), follow_links_below=str(store / "objects"))
    with pytest.raises(InputError, match="leads to no regular file or folder below"):
        source.info()
    with pytest.raises(InputError, match="no folder .*gone"):
        ImageFolder(str(folder), follow_links_below=str(store / "gone")).info()


def test_what_is_no_regular_file_is_rejected_where_a_link_leads_to_it(folder, store):
    os.mkfifo(store / "objects" / "pipe")
    (folder / "train" / "dog" / "pipe.png").symlink_to(store / "objects" / "pipe")
    (folder / "train" / "dog" / "root.png").symlink_to(store)
    source = ImageFolder(str(folder), follow_links_below=str(store))
    reasons = [sample.reason for sample in source.read("train", 0, 9).rejected]
    assert reasons == ["not a regular file (folder, FIFO or device)"] * 2


@pytest.mark.parametrize("change", ["target", "link", "folder"])
def test_a_link_or_its_target_that_changes_ends_the_run(change, folder, store):
    source = ImageFolder(str(folder), follow_links_below=str(store))
    captured, _ = capture_split(source, "train", folder.parent / "lists", 99)
    if change == "target":
        (store / "objects" / "1.png").write_bytes(random_png())
        os.utime(store / "objects" / "1.png", ns=(1, 1))
    elif change == "link":
        os.utime(store / "objects" / "3.png", ns=(1, 1))
        (folder / "train" / "dog" / "l1.png").unlink()
        (folder / "train" / "dog" / "l1.png").symlink_to(store / "objects" / "3.png")
    else:
        (folder / "train" / "cat").unlink()
        (folder / "train" / "cat").symlink_to(store / "objects")
        os.utime(store / "objects" / "0.png", ns=(1, 1))
    with pytest.raises(RunError, match=SOURCE_CHANGED):
        captured.read(0, 6)


def test_a_folder_that_becomes_a_link_behind_the_check_is_not_followed(
    folder, store, tmp_path, monkeypatch
):
    """Between the look at where a link leads and the opening, a part of that path is exchanged."""
    secret = write_class_folders(tmp_path / "secret", {"objects": 4})
    source = ImageFolder(str(folder), follow_links_below=str(store))
    real_open = followed_links.FollowedLinks.open

    def open_late(self, target, flags):
        (store / "objects").rename(store / "moved")
        (store / "objects").symlink_to(secret / "objects")
        return real_open(self, target, flags)

    monkeypatch.setattr(followed_links.FollowedLinks, "open", open_late)
    with pytest.raises(RunError, match=SOURCE_CHANGED):
        source.read("train", 3, 4)
