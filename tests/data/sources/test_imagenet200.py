"""ImageNet's subset from image folders to training batches, refused where it is another set."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.data.decode import decode_image
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.suspect_dataset import MANIFEST, write_manifest, write_shard
from ray_defense.data.training_set import TrainingSet
from tests.support.imagenet_folders import WNIDS, random_jpeg, write_imagenet_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_imagenet_folders(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def source(folder) -> ImageNet200:
    return ImageNet200(path=str(folder), size=24, num_classes=4)


def test_every_image_is_one_sample_of_its_class_at_the_size_asked_for(source, folder):
    info = source.info()
    assert (info.num_classes, info.class_names, info.size) == (4, WNIDS, 24)
    assert source.labels("train").tolist() == sorted([0, 1, 2, 3] * 5)
    assert source.labels("test").tolist() == [0, 1, 2, 3]
    batch = source.read("train", 3, 9)
    assert batch.origin[0] == f"train/{WNIDS[0]}/{WNIDS[0]}_3.JPEG"
    assert batch.images.shape == (6, 24, 24, 3)
    assert source.read("test", 1, 2).origin == (f"val/{WNIDS[1]}/{WNIDS[1]}_0.JPEG",)
    for image, origin in zip(batch.images, batch.origin, strict=True):
        assert np.array_equal(image, decode_image((folder / origin).read_bytes(), 24))


def test_the_defaults_are_the_papers_200_classes_at_224_pixels(folder):
    assert (ImageNet200().size, ImageNet200().num_classes) == (224, 200)
    reason = r"has 4 class folders \('n01440764', 'n01443537', 'n01484850', ...\), not 200"
    with pytest.raises(InputError, match=reason):
        ImageNet200(path=str(folder)).labels("train")


def test_jpeg_pages_stream_the_pixels_whose_hashes_the_manifest_holds(source, tmp_path):
    images = source.read("train", 0, 20).images
    labels = source.labels("train")
    parts = []
    for shard, rows in enumerate(np.split(np.arange(20), [7, 14])):
        part = write_shard(
            tmp_path,
            shard,
            images[rows],
            labels=labels[rows],
            index=rows,
            origin=[""] * len(rows),
            jpeg_quality=90,
        )
        parts.append(part)
    write_manifest(tmp_path, parts)
    delivered = {}
    for resident_bytes in (0, 1 << 30):
        data = TrainingSet(tmp_path, torch.device("cpu"), "auto", resident_bytes=resident_bytes)
        batches = list(data.epoch(5, 6))
        index = torch.cat([batch.index for batch in batches]).numpy()
        assert sorted(index) == list(range(20))
        pixels = torch.cat([batch.images for batch in batches]).numpy()
        delivered[data.resident] = pixels[np.argsort(index)]
    assert np.array_equal(delivered[False], delivered[True])
    assert not np.array_equal(delivered[False], images)
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in delivered[False]]
    assert pq.read_table(tmp_path / MANIFEST)["sha256"].to_pylist() == hashes


def add_training_class(root: Path) -> None:
    (root / "train" / "n02").mkdir()


def rename_test_class(root: Path) -> None:
    (root / "val" / WNIDS[3]).rename(root / "val" / "images")


def add_test_class(root: Path) -> None:
    (root / "val" / "n02").mkdir()


def rename_training_folder(root: Path) -> None:
    (root / "train").rename(root / "training")


def remove_test_classes(root: Path) -> None:
    for name in WNIDS:
        (root / "val" / name).rmdir()


def link_training_class(root: Path) -> None:
    (root / "train" / "n02").symlink_to(root / "val")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add_training_class, "train' has 5 class folders .* not 4"),
        (rename_test_class, "val' has 4 class folders .* of which 3 are"),
        (add_test_class, "val' has 5 class folders .* of which 4 are among the 4"),
        (rename_training_folder, "no folder .*train'"),
        (remove_test_classes, "no class folders in .*val'"),
        (link_training_class, "is a link"),
    ],
)
def test_another_set_of_class_folders_is_refused_with_its_description(tmp_path, change, reason):
    for split in ("train", "val"):
        for name in WNIDS:
            (tmp_path / split / name).mkdir(parents=True)
    source = ImageNet200(path=str(tmp_path), num_classes=4)
    assert source.info().class_names == WNIDS
    change(tmp_path)
    with pytest.raises(InputError, match=reason):
        source.info()
    with pytest.raises(InputError, match=reason):
        source.labels("train")
    with pytest.raises(InputError, match=reason):
        source.read("train", 0, 1)


def test_a_folder_called_test_serves_where_there_is_no_val(tmp_path):
    for split in ("train", "test"):
        for name in WNIDS:
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "a.JPEG").write_bytes(random_jpeg(0, 20, 20))
    source = ImageNet200(path=str(tmp_path), num_classes=4)
    assert source.read("test", 0, 1).origin == (f"test/{WNIDS[0]}/a.JPEG",)
    with pytest.raises(InputError, match="no folder"):
        ImageNet200().info()
