"""Parquet files as a source: every row is read or rejected, and hostile files are refused."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.cifar import Cifar10
from ray_defense.data.sources.parquet import Parquet
from tests.support.arrow_memory import counted_memory
from tests.support.encoded_images import encode_image, random_picture, random_png
from tests.support.source_files import write_parquet

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"


def test_a_limit_keeps_the_first_training_samples_and_the_whole_test_set(tmp_path):
    labels = [0, 1, 2, 1, 0, 2, 1]
    for split in ("train", "test"):
        images = [random_png() for _ in labels]
        write_parquet(tmp_path / f"{split}.parquet", images, labels, row_group_size=3)
    whole = Parquet(str(tmp_path))
    limited = Parquet(str(tmp_path), limit=5)
    assert limited.labels("train").tolist() == [0, 1, 2, 1, 0]
    assert len(limited.labels("test")) == 7
    batch = limited.read("train", 2, 9)
    assert batch.index.tolist() == [2, 3, 4]
    assert np.array_equal(batch.images, whole.read("train", 2, 5).images)
    assert len(limited.read("test", 0, 9).index) == 7
    with pytest.raises(InputError, match="limit"):
        Parquet(str(tmp_path), limit=0)


def test_bad_rows_of_a_parquet_file_are_rejected_with_their_position(tmp_path):
    good = random_png()
    images = [good, None, b"junk", good, good, good, b""]
    labels = pa.array([0, 1, 1, None, 7, -3, 0], pa.int64())
    file = write_parquet(tmp_path / "a.parquet", images, labels)
    source = Parquet(str(file), num_classes=2)
    batch = source.read("train", 0, 99)
    assert source.labels("train").tolist() == [0, 1, 1, -1, 7, -3, 0]
    assert batch.index.tolist() == [0]
    assert batch.origin == ("row 0",)
    assert [sample.index for sample in batch.rejected] == list(range(1, 7))
    assert [sample.origin for sample in batch.rejected] == [f"row {row}" for row in range(1, 7)]
    assert "no image bytes" in batch.rejected[0].reason
    assert "label 7" in batch.rejected[3].reason


def test_fractional_labels_are_invalid_and_whole_floats_are_not(tmp_path):
    labels = [0.0, 1.5, float("nan"), float("inf"), 2.0, 1e300]
    file = write_parquet(tmp_path / "a.parquet", [random_png()] * 6, labels)
    assert Parquet(str(file)).labels("train").tolist() == [0, -1, -1, -1, 2, -1]
    assert Parquet(str(file)).info().num_classes == 3


def test_an_image_struct_is_read_by_its_bytes_alone_where_a_row_has_some(tmp_path):
    pixels = random_picture()
    images = [
        {"bytes": encode_image(pixels), "path": None},
        {"bytes": None, "path": "/etc/passwd"},
        None,
    ]
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1, 1])
    batch = Parquet(str(file), num_classes=2).read("train", 0, 3)
    assert np.array_equal(batch.images[0], pixels)
    assert [sample.reason for sample in batch.rejected] == ["no image bytes in the row"] * 2


@pytest.mark.parametrize("classes", [json.dumps(["ant", "bee, big", "cat"]), "ant,bee,cat"])
def test_class_names_come_from_the_schema(tmp_path, classes):
    images = [random_png()] * 2
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1], metadata={"classes": classes})
    assert Parquet(str(file)).info().num_classes == 3
    assert Parquet(str(file)).info().class_names[2] == "cat"
    assert Parquet(str(file), num_classes=2).info().class_names == ("0", "1")


def test_an_absurd_largest_label_does_not_become_the_number_of_classes(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [random_png()] * 3, [0, 1, 10**12])
    with pytest.raises(InputError, match="num_classes"):
        Parquet(str(file)).info()


def test_one_hostile_label_does_not_make_a_thousand_classes(tmp_path):
    labels = np.arange(100) % 10
    labels[5] = 999
    write_parquet(tmp_path / "train.parquet", [random_png()] * 100, labels)
    with pytest.raises(InputError, match="num_classes"):
        Parquet(str(tmp_path)).info()
    batch = Parquet(str(tmp_path), num_classes=10).read("train", 0, 100)
    assert [sample.index for sample in batch.rejected] == [5]
    assert len(batch.index) == 99


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    source = Parquet(str(tmp_path / "a.parquet"), num_classes=2)
    with pytest.raises(InputError, match="damaged"):
        source.info()
    with pytest.raises(InputError, match="damaged"):
        source.labels("train")
    with pytest.raises(InputError, match="damaged"):
        source.read("train", 0, 1)


def test_a_damaged_parquet_file_is_refused_or_read_but_never_shorter(tmp_path):
    images = [random_png() for _ in range(8)]
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1] * 4)
    source = Parquet(str(file), num_classes=2)
    data = file.read_bytes()
    for length in (len(data) // 3, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(InputError):
            source.read("train", 0, 8)
    num_refused = 0
    for position in range(4, len(data), len(data) // 60):
        flipped = bytes([data[position] ^ 255])
        file.write_bytes(data[:position] + flipped + data[position + 1 :])
        try:
            batch = source.read("train", 0, 8)
        except InputError:
            num_refused += 1
        else:
            assert len(batch.index) + len(batch.rejected) == 8
    assert num_refused


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [7], "label": [0]},
        {"image": [[b"x"]], "label": [0]},
        {"image": [{"path": 7}], "label": [0]},
        {"image": [{"bytes": 7, "path": "x"}], "label": [0]},
        {"image": [{"path": b"x"}], "label": [0]},
        {"image": [b"x"], "label": [[0]]},
        {"image": [b"x"], "label": [True]},
    ],
)
def test_another_schema_is_refused(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="must have the columns"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"]}, "has no column label or .* set label_column to one of image"),
        ({"imgs": [b"x"], "label": [0]}, "did you mean image_column=imgs"),
        ({"image": [b"x"], "label_id": [0]}, "did you mean label_column=label_id"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_one(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")
    with pytest.raises(InputError, match="no column 'lable'.* did you mean label_column=label"):
        write_parquet(tmp_path / "b.parquet", [b"x"], [0])
        Parquet(str(tmp_path / "b.parquet"), label_column="lable").labels("train")


@pytest.mark.parametrize("classes", ["[" * 100_000, "[1", '["ant", {"b": 1}]'])
def test_a_strange_list_of_classes_never_crashes(tmp_path, classes):
    images = [random_png()] * 2
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1], metadata={"classes": classes})
    try:
        assert Parquet(str(file)).info().num_classes == 2
    except InputError as error:
        assert "schema" in str(error)


@pytest.mark.parametrize("row_bytes", [100_000, 2_000_000])
def test_a_small_file_that_decodes_to_much_is_refused_on_the_way(tmp_path, row_bytes):
    num_rows = 200_000_000 // row_bytes
    keys = np.zeros(num_rows, dtype=np.int32)
    images = pa.DictionaryArray.from_arrays(keys, pa.array([bytes(row_bytes)]))
    table = pa.table({"image": images, "label": np.zeros(num_rows, dtype=np.int64)})
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        compression="zstd",
        store_schema=False,
        dictionary_pagesize_limit=2**24,
    )
    assert (tmp_path / "a.parquet").stat().st_size < 4000
    with counted_memory() as counting_pool, pytest.raises(InputError, match="times its size"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).read("train", 0, num_rows)
    assert 0 < counting_pool.max_memory() < 80_000_000


def test_a_small_file_of_very_many_labels_is_refused(tmp_path):
    num_rows = 10_000_000
    images = pa.array([b""]).take(pa.array(np.zeros(num_rows, dtype=np.int8)))
    table = pa.table({"image": images, "label": np.zeros(num_rows, dtype=np.int64)})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(InputError, match="times its size"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")


def test_a_parquet_file_alone_has_no_test_set_and_a_missing_one_is_refused(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [random_png()] * 2, [0, 1])
    assert len(Parquet(str(file)).labels("test")) == 0
    assert len(Parquet(str(file)).read("test", 0, 5).index) == 0
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for path in ("", str(tmp_path / "gone"), str(tmp_path / "empty"), str(tmp_path / "pipe")):
        with pytest.raises(InputError, match="no file"):
            Parquet(path).labels("train")


@pytest.mark.skipif(
    not (REAL_DATA / "cifar10-test.parquet").exists(), reason="the real data are not here"
)
def test_the_real_files_are_read_across_row_groups():
    cifar = Cifar10(root=str(REAL_DATA))
    labels = cifar.labels("train")
    assert len(labels) == 50_000
    assert np.bincount(cifar.labels("test")).tolist() == [1000] * 10
    batch = cifar.read("train", 4_990, 5_010)
    assert batch.index.tolist() == list(range(4_990, 5_010))
    assert not batch.rejected
    assert np.array_equal(batch.labels, labels[4_990:5_010])
    tiny_imagenet = Parquet(str(REAL_DATA / "tinyimagenet-test.parquet"), size=64)
    assert tiny_imagenet.info().num_classes == 200
    assert tiny_imagenet.read("train", 1_990, 9_999).images.shape == (10, 64, 64, 3)
