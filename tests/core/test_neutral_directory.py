"""An empty directory of this process in the place of the current one, which hostile data may be."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ray_defense.core.import_path import PACKAGE_ROOT
from ray_defense.core.neutral_directory import (
    import_apart,
    in_directory,
    in_empty_directory,
    neutral_directory,
)

FORKED = """
import os
from ray_defense.core.neutral_directory import neutral_directory
folder = neutral_directory()
if os.fork() == 0:
    raise SystemExit(0)  # runs the functions that were registered for the exit
os.wait()
print(folder, folder.is_dir())
"""


def test_the_directory_is_empty_and_its_user_alone_enters_it() -> None:
    folder = neutral_directory()
    assert neutral_directory() == folder
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_current_directory_is_back_afterwards_also_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError):
        with in_directory(neutral_directory()):
            assert Path.cwd() == neutral_directory()
            raise KeyError
    assert Path.cwd() == tmp_path


def test_a_current_directory_that_was_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with in_directory(neutral_directory()):
        assert Path.cwd() == neutral_directory()
    with pytest.raises(FileNotFoundError):
        os.getcwd()


def test_an_empty_directory_goes_after_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of Ray is killed in the end, and would leave what it removes at its exit."""
    monkeypatch.chdir(tmp_path)
    with in_empty_directory():
        folder = Path.cwd()
        assert list(folder.iterdir()) == []
    assert not folder.exists()
    assert Path.cwd() == tmp_path


def test_a_module_is_imported_in_a_directory_that_goes_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asks_where.py").write_text("import os\nFOLDER = os.getcwd()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = Path(import_apart("asks_where").FOLDER)
    assert folder != tmp_path
    assert not folder.exists()


def test_the_directory_goes_with_the_process_that_made_it_and_not_with_its_children() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, cwd=PACKAGE_ROOT
    )
    folder, was_there = finished.stdout.split()
    assert was_there == "True"
    assert not Path(folder).exists()
