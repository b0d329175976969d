"""The right reader is chosen, or its absence is told with the remedy."""

import importlib.util
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.shards.open_reader import open_reader
from tests.support.random_datasets import write_random_dataset


def test_ffcv_asked_for_but_missing_is_refused_with_the_line_that_installs_it(dataset, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install ffcv==1\.0\.2"):
        open_reader(dataset.directory, "ffcv")
    assert open_reader(dataset.directory).backend == "numpy"


def test_an_unknown_back_end_is_refused_with_the_nearest_name(dataset):
    with pytest.raises(InputError, match="did you mean 'numpy'"):
        open_reader(dataset.directory, "nunpy")


def test_unasked_the_faster_reader_is_taken_whether_ffcv_is_installed_or_not(dataset, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert open_reader(dataset.directory).backend == "numpy"


@pytest.mark.parametrize("specification", [object(), None])
def test_jpeg_shards_never_reach_ffcv_installed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, specification
):
    write_random_dataset(tmp_path, [3], side=8, jpeg_quality=80)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: specification)
    assert open_reader(tmp_path, "auto").backend == "numpy"
    with pytest.raises(InputError, match="two thirds of the pixel values"):
        open_reader(tmp_path, "ffcv")
