"""Sources as ingested datasets: their images, files that are mended later, and equal images."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.data.sources.protocol import Source
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.training_set import TrainingSet
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.steps import make_steps
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support.imagenet_folders import write_imagenet_folders
from tests.support.source_files import write_class_folders


def ingest(source: Source, store_folder: Path, shard_size: int = 5000) -> Artifact:
    """Returns the dataset that is made of a source in this process."""
    store = Store(store_folder)
    context = PlanContext(store, seed=0, normalization=NORMALIZATIONS["half"])
    step = ingest_step(IngestConfig(shard_size), source, context)
    make_steps([step], store, LocalExecutor("numpy"))
    return step.artifact


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory) -> ImageNet200:
    """4 classes of 5 training images."""
    folder = write_imagenet_folders(tmp_path_factory.mktemp("imagenet"))
    return SOURCES["imagenet200"](path=str(folder), size=24, num_classes=4)


@pytest.fixture(scope="module")
def imagenet_images(imagenet) -> np.ndarray:
    return imagenet.read("train", 0, 20).images


@pytest.fixture(scope="module")
def imagenet_dataset(imagenet, tmp_path_factory) -> Path:
    return ingest(imagenet, tmp_path_factory.mktemp("store"), shard_size=7).path


def test_shards_hold_the_images_of_the_source(imagenet, imagenet_images, imagenet_dataset):
    dataset = SuspectDataset(imagenet_dataset)
    assert dataset.num_samples == 20
    assert dataset.num_shards == 3
    assert dataset.image_shape == (24, 24, 3)
    assert dataset.jpeg is False
    assert np.array_equal(dataset.labels, imagenet.labels("train"))
    reader = open_reader(imagenet_dataset, "numpy")
    for shard, count in enumerate((7, 7, 6)):
        batches = list(reader.batches(shard, np.arange(count), 100))
        assert len(batches) == 1
        expected = imagenet_images[batches[0].index.numpy()]
        assert np.array_equal(batches[0].images.numpy(), expected)
    assert read_json(imagenet_dataset / "dataset.json")["num_classes"] == 4


def test_an_epoch_streamed_from_the_shards_gives_every_image_once(
    imagenet_images, imagenet_dataset
):
    data = TrainingSet(imagenet_dataset, torch.device("cpu"), "numpy", resident_bytes=0)
    assert not data.resident
    batches = list(data.epoch(5, 6))
    index = torch.cat([batch.index for batch in batches]).numpy()
    images = torch.cat([batch.images for batch in batches]).numpy()
    assert sorted(index) == list(range(20))
    assert list(index) != list(range(20))
    assert np.array_equal(images, imagenet_images[index])


def test_a_mended_file_is_read_again(tmp_path):
    root = write_class_folders(tmp_path / "images", {"cat": 20, "dog": 20})
    broken = sorted(root.glob("*/*.png"))[17]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    source = SOURCES["image_folder"](path=str(root))
    first = ingest(source, tmp_path / "store")
    assert read_json(first.path / "dataset.json")["num_rejected"] == 1
    broken.write_bytes(whole)
    second = ingest(source, tmp_path / "store")
    assert read_json(second.path / "dataset.json")["num_rejected"] == 0
    assert ingest(source, tmp_path / "store") == second


def test_row_input_12_equal_images_are_not_assessable(tmp_path):
    for label in "ab":
        class_folder = tmp_path / "same" / label
        class_folder.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (32, 32), "orange").save(class_folder / f"{number}.png")
    source = SOURCES["image_folder"](path=str(tmp_path / "same"))
    with pytest.raises(InputError, match="not assessable"):
        ingest(source, tmp_path / "store")


def test_a_table_becomes_a_dataset_with_the_paths_as_origins(tmp_path):
    root = write_class_folders(tmp_path / "images", {"cat": 4, "dog": 3})
    lines = ["file,label", "gone.png,cat"]
    for path in sorted(root.glob("*/*.png")):
        lines.append(f"{path.relative_to(root)},{path.parent.name}")
    (root / "labels.csv").write_text("\n".join(lines))
    artifact = ingest(SOURCES["table"](path=str(root)), tmp_path / "store", shard_size=3)
    dataset = SuspectDataset(artifact.path)
    assert dataset.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert read_json(artifact.path / "dataset.json")["num_rejected"] == 1


def test_an_archive_and_arrays_become_datasets(tmp_path):
    root = write_class_folders(tmp_path / "images", {"cat": 4, "dog": 3})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(root.glob("*/*.png")):
            archive.write(path, path.relative_to(root))
    source = SOURCES["archive"](path=str(tmp_path / "a.zip"))
    images = source.read("train", 0, 7).images
    np.savez(tmp_path / "a.npz", images=images, labels=source.labels("train"))
    arrays = SOURCES["arrays"](path=str(tmp_path / "a.npz"))
    for number, kind in enumerate((source, arrays)):
        artifact = ingest(kind, tmp_path / f"store {number}", shard_size=3)
        dataset = SuspectDataset(artifact.path)
        assert dataset.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert np.array_equal(dataset.read_images(np.arange(7)), images)
