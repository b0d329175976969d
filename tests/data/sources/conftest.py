"""Sources find neither the data folder nor the cache of the user who runs the tests."""

import pytest


@pytest.fixture(autouse=True)
def isolated_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_DEFENSE_DATA", raising=False)
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
