"""Data at a URI are fetched once, whole, below the cache, and then read like any other."""

import os
from pathlib import Path

import pytest
from pyarrow.fs import FileInfo, FileType, LocalFileSystem, SubTreeFileSystem

from ray_defense.api import _shown_data
from ray_defense.cli.data_options import command_line
from ray_defense.core.errors import InputError, RunError
from ray_defense.data import fetched_data
from ray_defense.data.fetched_data import fetch_data
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.recognize import recognize
from ray_defense.store import remote
from ray_defense.store.remote import RemoteFile, RemoteFolder
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders, write_parquet

SECRET = "s3://KEY:sec%2Fret@bucket/images?scheme=http"


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A folder that stands in for what s3://bucket is."""
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "bucket"
    folder.mkdir()
    file_system = SubTreeFileSystem(str(tmp_path), LocalFileSystem())

    def open_uri(uri: str) -> tuple[SubTreeFileSystem, str]:
        return file_system, remote.without_secrets(uri).partition("://")[2]

    monkeypatch.setattr(remote, "_open", open_uri)
    return folder


def test_a_folder_of_images_is_fetched_once_and_again_when_it_changes(bucket, monkeypatch):
    write_class_folders(bucket / "images", {"cat": 2, "dog": 2})
    (bucket / "images" / "cat" / ".DS_Store").write_bytes(b"junk")
    recognized = recognize("s3://bucket/images")
    assert "4 files of s3://bucket/images" in recognized.sentences[0]
    source = recognized.source
    assert isinstance(source, ImageFolder)
    cache = Path(os.environ["RAY_DEFENSE_CACHE"])
    assert Path(source.path).is_relative_to(cache / "data")
    assert Path(source.path).parent.stat().st_mode & 0o777 == 0o700
    local = ImageFolder(str(bucket / "images"))
    assert (source.read("train", 0, 4).images == local.read("train", 0, 4).images).all()
    assert source.signature("train") == local.signature("train")
    monkeypatch.setattr(RemoteFolder, "fetch", None)  # nothing is fetched any more
    assert recognize("s3://bucket/images").source == source
    monkeypatch.undo()
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(cache))


def test_a_changed_folder_gets_another_place_and_a_file_alone_is_fetched_alone(bucket):
    write_class_folders(bucket / "images", {"cat": 2, "dog": 2})
    first = fetch_data("s3://bucket/images").path
    (bucket / "images" / "dog" / "new.png").write_bytes(random_png())
    second = fetch_data("s3://bucket/images").path
    assert first != second
    assert (second / "dog" / "new.png").is_file()
    assert not (first / "dog" / "new.png").exists()
    write_parquet(bucket / "data.parquet", [random_png()] * 2, [0, 1])
    (bucket / "other.parquet").write_bytes(b"other")
    source = recognize("s3://bucket/data.parquet").source
    assert isinstance(source, Parquet)
    assert source.labels("train").tolist() == [0, 1]
    assert os.listdir(Path(source.path).parent) == ["data.parquet"]


def test_a_file_uri_is_read_where_it_is(bucket):
    folder = write_class_folders(bucket / "with space", {"cat": 2, "dog": 2})
    recognized = recognize(f"file://{str(folder).replace(' ', '%20')}")
    assert recognized.source == ImageFolder(str(folder))
    assert not (Path(os.environ["RAY_DEFENSE_CACHE"]) / "data").exists()


def test_nothing_there_a_bad_uri_and_another_machine_are_refused(bucket):
    for uri, message in (
        ("s3://bucket/gone", "there is nothing at s3://bucket/gone"),
        ("file://host/images", "the data file://host/images names another machine"),
    ):
        with pytest.raises(InputError, match=message):
            recognize(uri)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a//b", "a/./b", "a/../../b", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(bucket, monkeypatch, name):
    monkeypatch.setattr(RemoteFolder, "list_states", lambda self, only: [RemoteFile(name, 1, 0)])
    with pytest.raises(InputError, match="whose name is no path below it"):
        fetch_data("s3://bucket/images")


def test_what_the_disk_cannot_hold_is_refused_before_it_is_fetched(bucket, monkeypatch):
    states = [RemoteFile("a.png", 2**60, 0)]
    monkeypatch.setattr(RemoteFolder, "list_states", lambda self, only: states)
    with pytest.raises(InputError, match="set RAY_DEFENSE_CACHE to a folder on a larger disk"):
        fetch_data("s3://bucket/images")
    monkeypatch.setattr(fetched_data, "_MAX_FILES", 0)
    with pytest.raises(InputError, match="more than 0 files: pack them"):
        fetch_data("s3://bucket/images")


def test_a_file_that_changes_meanwhile_leaves_nothing_behind(bucket, monkeypatch):
    write_class_folders(bucket / "images", {"cat": 2, "dog": 2})
    real_fetch = RemoteFolder.fetch

    def fetch(self, name, files, folder):
        real_fetch(self, name, files, folder)
        (bucket / "images" / "cat" / "0.png").write_bytes(b"other")

    monkeypatch.setattr(RemoteFolder, "fetch", fetch)
    with pytest.raises(RunError, match="changed while it was fetched: run again"):
        fetch_data("s3://bucket/images")
    assert os.listdir(Path(os.environ["RAY_DEFENSE_CACHE"]) / "data") == []


def test_no_record_and_no_message_shows_credentials(bucket, monkeypatch):
    write_class_folders(bucket / "images", {"cat": 2, "dog": 2})
    shown = " ".join(recognize(SECRET).sentences)
    shown += _shown_data(SECRET)
    monkeypatch.setattr("sys.argv", ["ray-defense", "audit", SECRET, "--out", "o"])
    shown += command_line()
    for secret in ("KEY", "sec/ret", "sec%2Fret", "scheme"):
        assert secret not in shown
    assert _shown_data(SECRET) == "s3://bucket/images"


def test_sizes_and_times_come_with_the_list(bucket):
    write_class_folders(bucket / "images", {"cat": 1})
    folder = remote.connect("s3://bucket/images", what="data")
    state = os.stat(bucket / "images" / "cat" / "0.png")
    assert folder.list_states() == [RemoteFile("cat/0.png", state.st_size, state.st_mtime_ns)]
    assert folder.parent().list_states("gone") == []
    assert FileInfo("x", type=FileType.File).is_file
