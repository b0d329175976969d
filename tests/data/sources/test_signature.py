"""The signature of a split changes with the files of that split, and with no others."""

import os

import pytest

from ray_defense.data.sources import SOURCES
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders, write_parquet


@pytest.mark.parametrize("kind", ["image_folder", "parquet"])
def test_the_signature_of_a_split_changes_with_its_files_alone(kind, tmp_path):
    if kind == "parquet":
        for split in ("train", "test"):
            write_parquet(tmp_path / f"{split}.parquet", [random_png(), random_png()], [0, 1])
        touched = tmp_path / "test.parquet"
    else:
        for split in ("train", "test"):
            write_class_folders(tmp_path / split, {"cat": 4, "dog": 3})
        touched = tmp_path / "test" / "cat" / "0.png"
    source = SOURCES[kind](path=str(tmp_path))
    train_before = source.signature("train")
    test_before = source.signature("test")
    assert source.signature("train") == train_before
    assert source.signature("test") == test_before
    os.utime(touched, ns=(1, 1))
    assert source.signature("train") == train_before
    assert source.signature("test") != test_before
