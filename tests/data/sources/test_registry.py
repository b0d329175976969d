"""Every source gives each sample under its position, for any range, and costs little to create."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.config import fingerprint
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.protocol import Source
from tests.support.backdoorbench_records import write_record
from tests.support.beton_files import random_samples
from tests.support.encoded_images import random_picture, random_png
from tests.support.import_cost import heavy_imports
from tests.support.saved_datasets import image_table, save_dataset
from tests.support.source_files import write_class_folders, write_parquet

# Of each source with its defaults. Everything that was made from a source is found by it.
FINGERPRINTS = {
    "archive": "659e2dc28c3f72eb",
    "arrays": "c282c8393bb92373",
    "backdoorbench": "868fbb5fab97f422",
    "beton": "8be2a6bfe44d820b",
    "cifar10": "83ea237d75efe515",
    "cifar100": "1bdb4ef7e94bc100",
    "digits": "6e4c1f9c9b277111",
    "image_folder": "6aea3516a0dbd3cf",
    "imagenet200": "2db4a80affee5b10",
    "parquet": "0e4fad397b532e7a",
    "saved_dataset": "4a3c3ca8f74fe140",
    "table": "cab20f3aef5d8e53",
    "with_trusted": "6f9b32b5c03a26c6",
}


def create_source(name: str, folder: Path) -> Source:
    """Returns a source of 7 samples in each split; digits have more."""
    if name == "digits":
        return SOURCES[name]()
    if name in ("cifar10", "cifar100"):
        return SOURCES[name](root=str(folder))
    if name == "backdoorbench":
        record = write_record(folder.parent / "record", {2: random_picture()}, {2: 0})
        clean = SOURCES["image_folder"](str(folder.parent / "clean"))
        return SOURCES[name](str(record), clean=clean, target_label="1")
    if name == "beton":
        return SOURCES[name](str(folder.parent / "beton"))
    if name == "with_trusted":
        data = SOURCES["image_folder"](str(folder.parent / "clean"))
        return SOURCES[name](data, trusted=SOURCES["table"](str(folder)))
    if name == "imagenet200":
        return SOURCES[name](path=str(folder), num_classes=2)
    if name == "arrays":
        return SOURCES[name](path=str(folder / "all.npz"))
    if name == "archive":
        return SOURCES[name](path=str(folder / "all.zip"))
    if name == "saved_dataset":
        return SOURCES[name](path=str(folder / "saved"))
    return SOURCES[name](path=str(folder))


def write_table(folder: Path) -> None:
    """Writes the table of the class folders below a folder."""
    lines = ["file,label,split"]
    for path in sorted(folder.glob("*/*/*.png")):
        split, class_name, _ = path.relative_to(folder).parts
        lines.append(f"{path.relative_to(folder)},{class_name},{split}")
    (folder / "labels.csv").write_text("\n".join(lines))


@pytest.fixture(params=sorted(SOURCES))
def source(request, tmp_path):
    labels = [0, 1, 2, 1, 0, 2, 1]
    images = [random_png() for _ in labels]
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "test"):
        write_parquet(folder / f"{split}.parquet", images, labels, row_group_size=3)
        (folder.parent / "beton").mkdir(exist_ok=True)
        beton = folder.parent / "beton" / f"{split}.beton"
        write_beton(beton, random_samples(7, 40, 32)[0], np.array(labels), np.arange(7))
        write_class_folders(folder / split, {"cat": 4, "dog": 3})
        write_class_folders(folder.parent / "clean" / split, {"cat": 4, "dog": 3})
        save_dataset(folder / "saved" / split, [image_table(images, labels)])
    (folder / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    write_table(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (14, 28, 28), np.uint8)
    np.savez(
        folder / "all.npz", x_train=pixels[:7], y_train=labels, x_test=pixels[7:], y_test=labels
    )
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for path in sorted(folder.glob("*/*/*.png")):
            archive.write(path, path.relative_to(folder))
    return create_source(request.param, folder)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_range_gives_the_same_samples_as_the_whole(source, split):
    labels = source.labels(split)
    info = source.info()
    whole = source.read(split, 0, 7)
    assert whole.images.shape == (7, info.size, info.size, 3)
    assert whole.images.dtype == np.uint8
    assert whole.index.dtype == whole.labels.dtype == labels.dtype == np.int64
    assert whole.index.tolist() == list(range(7))
    assert not whole.rejected
    assert np.array_equal(whole.labels, labels[:7])
    assert len(info.class_names) == info.num_classes
    assert isinstance(info.class_names, tuple)
    for low, high in [(0, 1), (2, 4), (3, 6), (6, 7)]:
        part = source.read(split, low, high)
        assert part.index.tolist() == list(range(low, high))
        assert np.array_equal(part.images, whole.images[low:high])
        assert np.array_equal(part.labels, whole.labels[low:high])
        assert part.origin == whole.origin[low:high]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_range_is_clamped_to_the_source(source, split):
    count = len(source.labels(split))
    size = source.info().size
    assert source.read(split, count - 1, count + 10).index.tolist() == [count - 1]
    assert source.read(split, -5, 1).index.tolist() == [0]
    for low, high in [(count, count + 5), (3, 3), (5, 2)]:
        empty = source.read(split, low, high)
        assert empty.images.shape == (0, size, size, 3)
        assert empty.origin == ()


def test_a_source_survives_pickling(source):
    assert pickle.loads(pickle.dumps(source)) == source
    assert SOURCES[source.name] is type(source)


@pytest.mark.parametrize("name", SOURCES)
def test_the_fingerprint_of_a_source_with_its_defaults_is_what_it_always_was(name):
    assert fingerprint(SOURCES[name]()) == FINGERPRINTS[name]


@pytest.mark.parametrize("name", SOURCES)
def test_creating_a_source_imports_no_heavy_package(name):
    code = f"from ray_defense.data.sources import SOURCES\nSOURCES[{name!r}]()\n"
    assert heavy_imports(code) == []
