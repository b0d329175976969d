"""Archives as a source: class folders and WebDataset are read in memory, never extracted."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources import archive_members
from ray_defense.data.sources.archive_images import ArchiveImages
from tests.support.encoded_images import random_png

KINDS = [".tar", ".tar.gz", ".zip"]


def pack(path: Path, contents: dict[str, bytes]) -> Path:
    """Writes an archive of the kind that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def pictures(*paths: str) -> dict[str, bytes]:
    return {path: random_png(8) for path in paths}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outer", ["", "set/", "./a/b/"])
def test_class_folders_in_an_archive_are_read_in_any_enclosing_folder(tmp_path, kind, outer):
    paths = [f"{outer}{name}/{number}.png" for number in range(3) for name in ("dog", "cat")]
    source = ArchiveImages(str(pack(tmp_path / f"a{kind}", pictures(*paths))), size=8)
    assert source.info().class_names == ("cat", "dog")
    assert source.labels("train").tolist() == [1, 0] * 3
    batch = source.read("train", 0, 9)
    assert batch.origin == tuple(paths)
    assert len(source.labels("test")) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_ranges_gives_the_members_of_the_archive(tmp_path, kind):
    paths = [f"class {number % 4}/{number}.png" for number in range(30)]
    source = ArchiveImages(str(pack(tmp_path / f"a{kind}", pictures(*paths))), size=8)
    whole = source.read("train", 0, 30)
    for low, high in [(0, 5), (5, 9), (9, 20), (3, 6), (18, 30), (0, 30), (29, 30), (12, 12)]:
        part = source.read("train", low, high)
        assert part.index.tolist() == list(range(low, high))
        assert np.array_equal(part.images, whole.images[low:high])


def test_ranges_of_a_compressed_tar_unpack_it_once(tmp_path, monkeypatch):
    paths = [f"class {number % 2}/{number}.png" for number in range(40)]
    source = ArchiveImages(str(pack(tmp_path / "a.tgz", pictures(*paths))), size=8)
    source.info()
    num_opened = 0
    real_stream = archive_members.GzipStream

    def open_stream(path: Path):
        nonlocal num_opened
        num_opened += 1
        return real_stream(path)

    monkeypatch.setattr(archive_members, "GzipStream", open_stream)
    for low in range(0, 40, 4):
        source.read("train", low, low + 4)
    assert num_opened <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_splits_in_an_archive_are_found(tmp_path, kind):
    paths = ["x/Train/cat/0.png", "x/Train/dog/1.png", "x/val/dog/2.png", "x/val/emu/3.png"]
    contents = {
        **pictures(*paths),
        "x/README.txt": b"read me",
        "x/.DS_Store": b"",
        "__MACOSX/a": b"",
    }
    source = ArchiveImages(str(pack(tmp_path / f"a{kind}", contents)), size=8)
    assert source.labels("train").tolist() == [0, 1]
    assert source.labels("test").tolist() == [1, -1]
    assert source.read("test", 0, 9).origin == ("x/val/dog/2.png",)
    left_out = source.describe().left_out
    assert "1 members of the archive" in left_out[0]
    assert "2 members of the archive" in left_out[1]


def test_a_class_called_train_is_a_class(tmp_path):
    paths = ["train/0.png", "bear/1.png"]
    source = ArchiveImages(str(pack(tmp_path / "a.zip", pictures(*paths))), size=8)
    assert source.info().class_names == ("bear", "train")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["0.png", "1.png"], "no class folders of images and no labels"),
        (["cat/0.png"], "no class folders of images"),
        (["test/cat/0.png", "val/cat/0.png"], "pack train/ and test/"),
        (["train/cat/0.png", "birds/cat/0.png"], "nothing beside them"),
        (["notes.txt"], "no class folders of images"),
    ],
)
def test_an_archive_without_classes_is_refused(tmp_path, paths, message):
    with pytest.raises(InputError, match=message):
        ArchiveImages(str(pack(tmp_path / "a.zip", pictures(*paths)))).info()


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_webdataset_are_read_with_their_labels(tmp_path, kind):
    contents = {}
    for number, label in enumerate([b"2", b"0\n", b"1", b"", b"7.5"]):
        contents[f"d/{number:04d}.cls"] = label
        contents[f"d/{number:04d}.jpg"] = random_png(8)
        contents[f"d/{number:04d}.json"] = b"{}"
    contents["d/lonely.png"] = random_png(8)
    source = ArchiveImages(str(pack(tmp_path / f"a{kind}", contents)), size=8)
    assert source.labels("train").tolist() == [2, 0, 1, -1, -1, -1]
    assert source.read("train", 0, 9).origin == ("d/0000.jpg", "d/0001.jpg", "d/0002.jpg")
    assert "5 members are neither images nor labels" in source.describe().left_out[0]


def test_several_archives_are_one_set_and_their_names_say_the_split(tmp_path):
    for name, numbers in (("train-000", [0, 1]), ("train-001", [2, 3]), ("test-000", [4])):
        contents = {}
        for number in numbers:
            contents[f"{number}.cls"] = b"cat" if number % 2 else b"dog"
            contents[f"{number}.png"] = random_png(8)
        pack(tmp_path / f"{name}.tar", contents)
    source = ArchiveImages(str(tmp_path), size=8)
    assert source.info().class_names == ("cat", "dog")
    assert source.labels("train").tolist() == [1, 0, 1, 0]
    assert source.read("train", 1, 3).origin == ("1.png", "2.png")
    assert source.labels("test").tolist() == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_members_that_lead_out_and_what_is_no_image_are_rejected(tmp_path, kind):
    """Input row 17."""
    bad = ["../cat/1.png", "/cat/2.png", "cat/../../3.png", "cat/../dog/4.png"]
    contents = pictures("cat/0.png", "dog/0.png", *bad)
    contents["cat/nested.zip"] = zip_bytes(pictures("a.png"))
    source = ArchiveImages(str(pack(tmp_path / f"a{kind}", contents)), size=8)
    batch = source.read("train", 0, 9)
    assert batch.origin == ("cat/0.png", "dog/0.png")
    assert [sample.origin for sample in batch.rejected] == [*bad, "cat/nested.zip"]
    for sample in batch.rejected[:4]:
        assert "leads out of the archive" in sample.reason or "label -1" in sample.reason
    assert "no JPEG" in batch.rejected[4].reason


def zip_bytes(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_links_in_a_tar_are_rejected(tmp_path):
    file = pack(tmp_path / "a.tar", pictures("cat/0.png", "dog/0.png"))
    with tarfile.open(file, "a") as archive:
        for name, kind in (("cat/1.png", tarfile.SYMTYPE), ("cat/2.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "/etc/passwd"
            archive.addfile(member)
    rejected = ArchiveImages(str(file), size=8).read("train", 0, 9).rejected
    assert [sample.reason for sample in rejected] == [
        "not a regular file of the archive: a link",
        "not a regular file of the archive: a FIFO",
    ]


def test_bombs_are_refused(tmp_path):
    """Input row 17: a zip or tar.gz that unpacks to gigabytes."""
    bomb = {"cat/0.png": bytes(200 * 2**20), "dog/0.png": b""}
    for kind in (".zip", ".tar.gz"):
        file = pack(tmp_path / f"a{kind}", bomb)
        assert file.stat().st_size < 2**20
        with pytest.raises(InputError, match="times its size"):
            ArchiveImages(str(file)).info()


@pytest.mark.parametrize("kind", KINDS)
def test_row_input_17_an_archive_is_read_in_memory_and_nothing_of_it_leads_out(tmp_path, kind):
    outside = tmp_path / "outside.png"
    outside.write_bytes(random_png(8))
    folder = tmp_path / "in"
    folder.mkdir()
    bad = ["../cat/outside.png", str(outside), "cat/../../outside.png"]
    contents = pictures("cat/0.png", "dog/0.png", *bad)
    if kind == ".tar":
        file = pack(folder / "a.tar", contents)
        with tarfile.open(file, "a") as archive:
            for name, link in (("cat/1.png", tarfile.SYMTYPE), ("cat/2.png", tarfile.LNKTYPE)):
                member = tarfile.TarInfo(name)
                member.type = link
                member.linkname = str(outside)
                archive.addfile(member)
    else:
        file = pack(folder / f"a{kind}", contents)
    before = sorted(tmp_path.rglob("*"))
    source = ArchiveImages(str(file), size=8)
    batch = source.read("train", 0, 9)
    assert batch.origin == ("cat/0.png", "dog/0.png")
    assert len(batch.rejected) == (5 if kind == ".tar" else 3)
    assert sorted(tmp_path.rglob("*")) == before
    if kind != ".tar":
        pack(file, {"cat/0.png": bytes(200 * 2**20), "dog/0.png": b""})
        with pytest.raises(InputError, match="times its size"):
            ArchiveImages(str(file), size=8).info()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_archive_or_half_of_one_is_refused(tmp_path, kind):
    file = pack(tmp_path / f"a{kind}", pictures("cat/0.png", "dog/0.png"))
    data = file.read_bytes()
    for damaged in (b"", b"garbage" * 200, data[: min(len(data) // 2, 1500)], data[:20]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="pack it again"):
            ArchiveImages(str(file)).info()


def test_an_archive_that_is_written_anew_is_listed_anew(tmp_path):
    for name in ("cat", "lion"):
        file = pack(tmp_path / "a.tar.gz", pictures(f"{name}/0.png", "dog/1.png"))
        source = ArchiveImages(str(file), size=8)
        assert name in source.info().class_names
        assert source.read("train", 0, 2).origin[0] == f"{name}/0.png"
