"""Sources of image files give the bytes of each file, and decode them as they read them."""

from pathlib import Path

import numpy as np
import pytest

from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.cifar import Cifar10
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.encoded import EncodedSource
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Source
from tests.support.encoded_images import random_png
from tests.support.imagenet_folders import write_imagenet_folders
from tests.support.source_files import write_class_folders, write_parquet


@pytest.fixture(params=["image_folder", "imagenet200", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "image_folder":
        return ImageFolder(str(write_class_folders(tmp_path, {"a": 3, "b": 4})), size=16)
    if request.param == "imagenet200":
        return ImageNet200(str(write_imagenet_folders(tmp_path)), size=16, num_classes=4)
    images = [random_png() for _ in range(7)]
    return Parquet(str(write_parquet(tmp_path / "t.parquet", images, list(range(7)))), size=16)


@pytest.mark.parametrize(("low", "high"), [(0, 100), (2, 5), (6, 7), (90, 100)])
def test_the_files_decode_to_what_the_source_reads(source: Source, low: int, high: int):
    assert isinstance(source, EncodedSource)
    batch = source.read("train", low, high)
    samples = list(source.read_encoded("train", low, high))
    assert [sample.index for sample in samples] == batch.index.tolist()
    assert tuple(sample.origin for sample in samples) == batch.origin
    assert [sample.label for sample in samples] == batch.labels.tolist()
    for sample, image in zip(samples, batch.images, strict=True):
        assert np.array_equal(source.decode(sample.content), image)
    with pytest.raises(DecodeError):
        source.decode(None)


def test_sources_without_a_file_of_each_image_are_told_apart():
    assert not isinstance(Digits(), EncodedSource)
    assert not isinstance(Cifar10(), EncodedSource)


def test_a_link_is_never_read(tmp_path: Path):
    write_class_folders(tmp_path / "data", {"a": 1})
    (tmp_path / "data" / "a" / "1.png").symlink_to(tmp_path / "data" / "a" / "0.png")
    source = ImageFolder(str(tmp_path / "data"))
    with pytest.raises(DecodeError, match="not a regular file"):
        list(source.read_encoded("train", 0, 2))
