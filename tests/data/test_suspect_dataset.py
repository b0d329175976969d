"""The manifest locates every sample of a dataset, and what does not fit it is refused."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.suspect_dataset import (
    MANIFEST,
    SuspectDataset,
    shard_name,
    write_manifest,
    write_rejected,
    write_shard,
)
from tests.support.random_datasets import RandomDataset, write_random_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> RandomDataset:
    """751 raw images in shards of 700, 50 and 1 samples."""
    return write_random_dataset(tmp_path_factory.mktemp("shards"), [700, 50, 1])


def test_the_manifest_locates_every_sample(dataset):
    suspect = SuspectDataset(dataset.directory)
    assert suspect.num_samples == 751
    assert suspect.num_shards == 3
    assert suspect.image_shape == (32, 32, 3)
    assert suspect.num_bytes == dataset.images.nbytes
    np.testing.assert_array_equal(suspect.index, 10 + 3 * np.arange(751))
    np.testing.assert_array_equal(suspect.labels, dataset.labels)
    for position in (0, 1, 400, 750):
        file = suspect.open_shard(int(suspect.shard[position]))
        image = file.images(suspect.row[[position]])[0]
        np.testing.assert_array_equal(image, dataset.images[position])
    index = np.array([13, 10, 2260, 13])
    np.testing.assert_array_equal(suspect.index[suspect.locate(index)], index)


def test_images_are_read_across_shards_in_the_order_asked_for(dataset):
    positions = np.array([750, 3, 400, 3, 0])
    images = SuspectDataset(dataset.directory).read_images(positions)
    np.testing.assert_array_equal(images, dataset.images[positions])


def test_the_manifest_holds_the_hash_and_the_origin_of_every_sample(dataset):
    table = pq.read_table(dataset.directory / MANIFEST).to_pydict()
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in dataset.images]
    assert table["sha256"] == hashes
    assert table["origin"] == [f"image {position}" for position in range(751)]


def test_a_raw_shard_among_jpeg_shards_is_refused(tmp_path: Path):
    dataset = write_random_dataset(tmp_path, [4, 4], side=8, jpeg_quality=80)
    index = SuspectDataset(tmp_path).open_shard(1).index
    positions = (index - 10) // 3
    images = dataset.images[positions]
    write_beton(tmp_path / shard_name(1), images, dataset.labels[positions], index=index)
    with pytest.raises(InputError, match="not the shard its manifest describes"):
        SuspectDataset(tmp_path).open_shard(1)


@pytest.mark.parametrize("index", [9, 11, 2261, -1])
def test_an_unknown_index_is_refused(dataset, index):
    with pytest.raises(InputError, match=f"index {index} is not among"):
        SuspectDataset(dataset.directory).locate(np.array([10, index]))


def test_the_order_of_the_parts_does_not_change_the_bytes_of_the_manifest(dataset, tmp_path: Path):
    write_manifest(tmp_path, dataset.parts[::-1])
    manifest = (tmp_path / MANIFEST).read_bytes()
    assert manifest == (dataset.directory / MANIFEST).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_an_index_in_two_shards_is_refused(dataset, tmp_path: Path):
    part = dataset.parts[1]
    with pytest.raises(InputError, match="occurs twice"):
        write_manifest(tmp_path, [part, part])
    with pytest.raises(InputError, match="at least one shard"):
        write_manifest(tmp_path, [])


def test_an_origin_that_is_no_text_is_kept_escaped(tmp_path: Path):
    images = np.zeros((2, 4, 4, 3), np.uint8)
    numbers = np.array([0, 1])
    origin = ["\udcff\n-rf", "é"]
    part = write_shard(tmp_path, 0, images, labels=numbers, index=numbers, origin=origin)
    assert part["origin"].to_pylist() == ["\\udcff\n-rf", "é"]
    with pytest.raises(InputError, match="one string for each of 2"):
        write_shard(tmp_path, 0, images, labels=numbers, index=numbers, origin="ab")


def test_the_rejected_are_listed_by_index(tmp_path: Path):
    write_rejected(tmp_path, [7, 3], ["b.jpg", "a.jpg"], reason=["empty", "truncated"])
    rows = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert rows == [
        {"index": 3, "origin": "a.jpg", "reason": "truncated"},
        {"index": 7, "origin": "b.jpg", "reason": "empty"},
    ]
    write_rejected(tmp_path, [], [], reason=[])
    assert pq.read_table(tmp_path / "rejected.parquet").num_rows == 0


def set_column(
    name: str, values: list[float | None], kind: pa.DataType | None = None
) -> Callable[[pa.Table], pa.Table]:
    def mutate(table: pa.Table) -> pa.Table:
        field = pa.field(name, kind or table.schema.field(name).type)
        column = pa.array(values, field.type)
        return table.set_column(table.schema.get_field_index(name), field, column)

    return mutate


@pytest.mark.parametrize(
    "mutate",
    [
        lambda table: table.slice(0, 0),
        lambda table: table.slice(1),
        lambda table: table.drop_columns(["row"]),
        lambda table: table.take([1, 0, 2]),
        set_column("index", [10, 13, None]),
        set_column("index", [10, 13, 13]),
        set_column("index", [-10, 13, 16]),
        set_column("index", [10.0, 13.0, 16.0], pa.float64()),
        set_column("row", [0, 0, 1]),
        set_column("row", [1, 2, 3]),
        set_column("shard", [-1, -1, -1]),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, mutate):
    write_random_dataset(tmp_path, [3], side=4)
    make_ordered = set_column("row", [0, 1, 2])
    table = make_ordered(pq.read_table(tmp_path / MANIFEST))
    pq.write_table(mutate(table), tmp_path / MANIFEST)
    with pytest.raises(InputError):
        SuspectDataset(tmp_path)


def test_a_directory_without_a_manifest_or_with_garbage_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="has no manifest"):
        SuspectDataset(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"PAR1 garbage PAR1")
    with pytest.raises(InputError, match="as Parquet"):
        SuspectDataset(tmp_path)


def test_a_shard_that_is_not_the_one_in_the_manifest_is_refused(tmp_path: Path):
    write_random_dataset(tmp_path, [3], side=4)
    images = np.zeros((3, 4, 4, 3), np.uint8)
    labels = np.zeros(3, np.int64)
    write_beton(tmp_path / shard_name(0), images, labels, index=np.arange(3))
    with pytest.raises(InputError, match="not the shard its manifest describes"):
        SuspectDataset(tmp_path).open_shard(0)
