"""A registry knows the names of its units before it imports any of them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError, look_up
from ray_defense.core.registry import Registry

PACKAGE = "units_of_a_test"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[int]]:
    """A registry of two units in a package of this test's own."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "first.py").write_text("ONE = 1\n")
    (folder / "broken.py").write_text("raise RuntimeError('it was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield Registry(PACKAGE, {"one": "first.ONE", "two": "broken.TWO"})
    for name in list(sys.modules):
        if name.startswith(PACKAGE):
            del sys.modules[name]


def test_names_are_listed_in_order_without_an_import(registry: Registry[int]):
    assert list(registry) == ["one", "two"]
    assert len(registry) == 2
    assert "two" in registry
    assert "three" not in registry
    assert PACKAGE not in sys.modules


def test_a_unit_is_imported_when_it_is_looked_up(registry: Registry[int]):
    assert registry["one"] == 1
    assert f"{PACKAGE}.first" in sys.modules
    assert f"{PACKAGE}.broken" not in sys.modules
    with pytest.raises(RuntimeError, match="it was imported"):
        registry["two"]


def test_a_name_that_is_not_registered_is_refused(registry: Registry[int]):
    with pytest.raises(KeyError):
        registry["three"]
    with pytest.raises(InputError, match="did you mean 'one'"):
        look_up(registry, "unit", "on")
