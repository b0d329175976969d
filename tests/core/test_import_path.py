"""The current directory is dropped from what Python imports from, in whichever spelling."""

import os
import sys
from pathlib import Path

import pytest

from ray_defense.core.import_path import (
    PACKAGE_ROOT,
    drop_current_directory,
    imports_from_current_directory,
    safe_children,
    safe_variables,
    without_current_directory,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is not this checkout."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    return folder


def test_every_way_to_write_the_current_directory_is_dropped(here: Path) -> None:
    link = here.parent / "link"
    link.symlink_to(here)
    ways = ["", ".", "./", str(here), f"{here}/", str(link), f"{here}/../data"]
    assert without_current_directory([*ways, "/elsewhere", str(here / "below")]) == [
        "/elsewhere",
        str(here / "below"),
    ]


def test_what_pythonpath_names_by_an_absolute_path_stays(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"/code:{here}")
    assert without_current_directory(["", str(here), "/code"]) == [str(here), "/code"]
    monkeypatch.setenv("PYTHONPATH", ":/code")
    assert without_current_directory(["", str(here), "/code"]) == ["/code"]


def test_the_root_of_the_package_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGE_ROOT)
    assert without_current_directory(["", "/code"]) == ["", "/code"]


def test_a_current_directory_that_was_removed_is_no_error(here: Path) -> None:
    here.rmdir()
    assert without_current_directory(["", ".", "/code"]) == ["/code"]
    assert not imports_from_current_directory()


def test_the_process_itself_drops_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/code"])
    assert imports_from_current_directory()
    drop_current_directory()
    assert sys.path == ["/code"]
    assert not imports_from_current_directory()


def test_children_get_an_absolute_pythonpath_without_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert safe_variables() == {"PYTHONSAFEPATH": "1"}
    monkeypatch.setenv("PYTHONPATH", ":code:.:/elsewhere:")
    expected = {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{here}/code:/elsewhere"}
    assert safe_variables() == expected
    with safe_children():
        for name, value in expected.items():
            assert os.environ[name] == value
    assert os.environ["PYTHONPATH"] == ":code:.:/elsewhere:"
    assert "PYTHONSAFEPATH" not in os.environ
