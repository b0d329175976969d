"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from ray_defense.core.files import read_json, write_bytes, write_json


def test_a_failed_write_leaves_the_file_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": (2,)})
    assert path.read_text() == '{\n "a": [\n  2\n ],\n "b": 1\n}\n'

    def fail_as_if_full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail_as_if_full)
    with pytest.raises(OSError):
        write_bytes(path, b"other")
    assert read_json(path) == {"b": 1, "a": [2]}
