"""A store at a URI whose far side is a folder of this machine."""

import shutil
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from ray_defense.store import remote
from ray_defense.store.artifacts import store_directory

URI = "s3://KEY:sec%2Fret@bucket/audits?scheme=http"
SECRETS = ("KEY", "sec/ret", "sec%2Fret")


def open_bucket_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a folder stand in for what `URI` names, and gives the test a cache of its own.

    Returns:
        Where the files of a store at `URI` are.
    """
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(folder / "cache"))
    (folder / "bucket").mkdir()
    file_system = SubTreeFileSystem(str(folder / "bucket"), LocalFileSystem())
    monkeypatch.setattr(remote, "_open", lambda uri: (file_system, "audits"))
    return folder / "bucket" / "audits"


def lose_working_directory() -> None:
    """Removes what this machine holds of the store at `URI`."""
    shutil.rmtree(store_directory(URI))


def read_files(folder: Path) -> dict[str, bytes]:
    """Returns the content of every file below a folder by its relative path."""
    content = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content[str(path.relative_to(folder))] = path.read_bytes()
    return content
