"""ImageNet's subset from image folders to training batches: streamed, every image once, and refused where it is another."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import Refused
from ray_defense.data.decode import decode_image
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.suspect_dataset import MANIFEST, ShardSet, open_reader, write_manifest, write_shard
from ray_defense.data.training_set import TrainingSet
from ray_defense.execution.local import LocalExecutor
from ray_defense.stages import ingest as shard
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361")
SIZES = ((40, 30), (64, 64), (33, 90), (12, 12), (100, 20))  # width, height


def jpeg(seed: int, width: int, height: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """4 classes of 5 training images and one validation image each, the sizes mixed."""
    root = tmp_path_factory.mktemp("imagenet")
    for split, sizes in (("train", SIZES), ("val", SIZES[:1])):
        for label, name in enumerate(WNIDS):
            (root / split / name).mkdir(parents=True)
            for number, size in enumerate(sizes):
                (root / split / name / f"{name}_{number}.JPEG").write_bytes(jpeg(10 * label + number, *size))
    return root


@pytest.fixture(scope="module")
def source(folder) -> ImageNet200:
    return SOURCES["imagenet200"](path=str(folder), size=24, num_classes=4)


@pytest.fixture(scope="module")
def sharded(source, tmp_path_factory) -> Path:
    context = Context(Store(tmp_path_factory.mktemp("store")), LocalExecutor("numpy"), 0, None)
    return shard.run(shard.Shard(7), source, context).path


def originals(source: ImageNet200) -> np.ndarray:
    return source.read("train", 0, 20).images


def test_every_image_is_one_sample_of_its_class_at_the_size_asked_for(source, folder):
    assert (source.info().num_classes, source.info().class_names, source.info().size) == (4, WNIDS, 24)
    assert source.labels("train").tolist() == sorted([0, 1, 2, 3] * 5) and source.labels("test").tolist() == [0, 1, 2, 3]
    batch = source.read("train", 3, 9)
    assert batch.origin[0] == f"train/{WNIDS[0]}/{WNIDS[0]}_3.JPEG" and batch.images.shape == (6, 24, 24, 3)
    assert source.read("test", 1, 2).origin == (f"val/{WNIDS[1]}/{WNIDS[1]}_0.JPEG",)
    for image, origin in zip(batch.images, batch.origin, strict=True):
        assert np.array_equal(image, decode_image((folder / origin).read_bytes(), 24))


def test_the_defaults_are_the_papers_200_classes_at_224_pixels(folder):
    assert (ImageNet200().size, ImageNet200().num_classes) == (224, 200)
    with pytest.raises(Refused, match=r"has 4 class folders \('n01440764', 'n01443537', 'n01484850', ...\), not 200"):
        ImageNet200(path=str(folder)).labels("train")


def test_shards_hold_the_images_of_the_source(source, sharded):
    shards, reader = ShardSet(sharded), open_reader(sharded, "numpy")
    assert (shards.num_samples, shards.num_shards, shards.image_shape, shards.jpeg) == (20, 3, (24, 24, 3), False)
    assert np.array_equal(shards.labels, source.labels("train"))
    for number, count in enumerate((7, 7, 6)):
        (batch,) = reader.batches(number, np.arange(count), 100)
        assert np.array_equal(batch.images.numpy(), originals(source)[batch.index.numpy()])
    assert json.loads((sharded / "dataset.json").read_text())["num_classes"] == 4


def test_an_epoch_streamed_from_the_shards_gives_every_image_once(source, sharded):
    data = TrainingSet(sharded, torch.device("cpu"), "numpy", resident_bytes=0)
    assert not data.resident
    batches = list(data.epoch(5, 6))
    index = torch.cat([batch.index for batch in batches]).numpy()
    assert sorted(index) == list(range(20)) and list(index) != list(range(20))
    assert np.array_equal(torch.cat([batch.images for batch in batches]).numpy(), originals(source)[index])


def test_jpeg_pages_stream_the_pixels_whose_hashes_the_manifest_holds(source, tmp_path):
    images, labels = originals(source), source.labels("train")
    parts = [
        write_shard(tmp_path, number, images[rows], labels[rows], rows, [""] * len(rows), jpeg_quality=90)
        for number, rows in enumerate(np.split(np.arange(20), [7, 14]))
    ]
    write_manifest(tmp_path, parts)
    streamed, resident = (TrainingSet(tmp_path, torch.device("cpu"), "auto", size) for size in (0, 1 << 30))
    found = {}
    for data in (streamed, resident):
        batches = list(data.epoch(5, 6))
        index = torch.cat([batch.index for batch in batches]).numpy()
        assert sorted(index) == list(range(20))
        found[data.resident] = torch.cat([batch.images for batch in batches]).numpy()[np.argsort(index)]
    assert np.array_equal(found[False], found[True]) and not np.array_equal(found[False], images)
    table = pq.read_table(tmp_path / MANIFEST)
    assert table["sha256"].to_pylist() == [hashlib.sha256(image.tobytes()).hexdigest() for image in found[False]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: (root / "train" / "n02").mkdir(), "train' has 5 class folders .* not 4"),
        (lambda root: (root / "val" / WNIDS[3]).rename(root / "val" / "images"), "val' has 4 class folders .* of which 3 are"),
        (lambda root: (root / "val" / "n02").mkdir(), "val' has 5 class folders .* of which 4 are among the 4"),
        (lambda root: (root / "train").rename(root / "training"), "no folder .*train'"),
        (lambda root: [(root / "val" / name).rmdir() for name in WNIDS], "no class folders in .*val'"),
        (lambda root: (root / "train" / "n02").symlink_to(root / "val"), "is a link"),
    ],
)
def test_another_set_of_class_folders_is_refused_with_what_was_found(tmp_path, change, reason):
    for split in ("train", "val"):
        for name in WNIDS:
            (tmp_path / split / name).mkdir(parents=True)
    source = ImageNet200(path=str(tmp_path), num_classes=4)
    assert source.info().class_names == WNIDS
    change(tmp_path)
    for ask in (source.info, lambda: source.labels("train"), lambda: source.read("train", 0, 1)):
        with pytest.raises(Refused, match=reason):
            ask()


def test_a_folder_called_test_serves_where_there_is_no_val(tmp_path):
    for split in ("train", "test"):
        for name in WNIDS:
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "a.JPEG").write_bytes(jpeg(0, 20, 20))
    source = ImageNet200(path=str(tmp_path), num_classes=4)
    assert source.read("test", 0, 1).origin == (f"test/{WNIDS[0]}/a.JPEG",)
    with pytest.raises(Refused, match="no folder"):
        ImageNet200().info()
