"""Parquet as Hugging Face and others write it: many files, names of classes, other columns."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.parquet import Parquet
from tests.support.arrow_memory import counted_memory
from tests.support.encoded_images import random_png
from tests.support.source_files import write_parquet


def write_shards(folder: Path, split: str, labels: list[int], num_files: int, **options) -> None:
    """Writes a split as several files with the names that Hugging Face gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(np.arange(len(labels)), num_files)):
        images = [{"bytes": random_png(8), "path": f"{split}/{row}.png"} for row in rows]
        name = f"{split}-{number:05d}-of-{num_files:05d}.parquet"
        write_parquet(folder / name, images, [labels[row] for row in rows], **options)


def features(names: list[str], column: str = "label") -> dict[str, str]:
    """Returns the metadata of a schema whose labels are a ClassLabel."""
    described = {column: {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    return {"huggingface": json.dumps({"info": {"features": described}})}


def test_several_files_are_one_split_with_class_names_and_origins(tmp_path):
    labels = [row % 3 for row in range(20)]
    options = {"metadata": features(["ant", "bee", "cat"]), "row_group_size": 3}
    write_shards(tmp_path / "data", "train", labels, 3, **options)
    write_shards(tmp_path / "data", "test", labels[:5], 1)
    source = Parquet(str(tmp_path), size=8)
    assert source.info().class_names == ("ant", "bee", "cat")
    assert source.labels("train").tolist() == labels
    whole = source.read("train", 0, 99)
    assert whole.index.tolist() == list(range(20))
    assert whole.origin == tuple(f"train/{row}.png" for row in range(20))
    for low, high in [(0, 7), (6, 15), (13, 14), (7, 20), (3, 4)]:
        part = source.read("train", low, high)
        assert part.index.tolist() == list(range(low, high))
        assert np.array_equal(part.images, whole.images[low:high])
        assert np.array_equal(part.labels, whole.labels[low:high])
    assert source.labels("test").tolist() == labels[:5]
    limited = Parquet(str(tmp_path), size=8, limit=9)
    assert limited.labels("train").tolist() == labels[:9]
    assert limited.read("train", 5, 20).index.tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("word", ["validation", "valid", "val", "TEST", "testing"])
def test_the_test_set_is_the_split_that_is_there(tmp_path, word):
    write_shards(tmp_path, "train", [0, 1, 0], 1)
    write_shards(tmp_path, word, [1, 1], 1)
    source = Parquet(str(tmp_path), size=8)
    assert source.labels("test").tolist() == [1, 1]
    is_said = any(word in sentence for sentence in source.describe().recognized)
    assert is_said == (not word.lower().startswith("test"))


def test_a_validation_split_beside_a_test_split_is_left_out_and_said(tmp_path):
    for split, labels in (("train", [0, 1]), ("validation", [0]), ("test", [1, 1])):
        write_shards(tmp_path, split, labels, 1)
    source = Parquet(str(tmp_path), size=8)
    assert source.labels("test").tolist() == [1, 1]
    assert "not read: 'validation-00000" in source.describe().left_out[0]


def test_a_missing_part_is_refused(tmp_path):
    write_shards(tmp_path, "train", [0, 1] * 4, 3)
    (tmp_path / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(InputError, match="part 1 of 3 is missing"):
        Parquet(str(tmp_path)).info()


def test_folders_of_splits_and_of_one_configuration_are_read(tmp_path):
    write_shards(tmp_path / "plain_text", "train", [0, 1], 1)
    assert Parquet(str(tmp_path), size=8).labels("train").tolist() == [0, 1]
    for split in ("train", "validation"):
        (tmp_path / "default" / split).mkdir(parents=True)
        write_parquet(tmp_path / "default" / split / "0000.parquet", [random_png(8)] * 2, [1, 0])
    assert Parquet(str(tmp_path / "default"), size=8).labels("test").tolist() == [1, 0]
    write_shards(tmp_path / "other", "train", [0, 1], 1)
    with pytest.raises(
        InputError, match="several folders of .parquet files, 'other', 'plain_text'"
    ):
        Parquet(str(tmp_path)).info()


def test_files_without_the_name_of_a_split_are_the_training_set_in_natural_order(tmp_path):
    for number in (10, 9, 1):
        write_parquet(tmp_path / f"part-{number}.parquet", [random_png(8)], [number % 3])
    source = Parquet(str(tmp_path), size=8, num_classes=3)
    assert source.labels("train").tolist() == [1, 0, 1]
    assert "all files are the training set" in source.describe().recognized[0]


def test_a_link_among_the_files_is_refused(tmp_path):
    write_shards(tmp_path / "blobs", "train", [0, 1], 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").symlink_to(next((tmp_path / "blobs").iterdir()))
    with pytest.raises(InputError, match=r"train.parquet' is a link: .*cp -L"):
        Parquet(str(tmp_path / "data")).info()


@pytest.mark.parametrize("image", ["img", "pixel_values", "png", "picture"])
@pytest.mark.parametrize("label", ["labels", "fine_label", "target", "kind"])
def test_columns_of_other_names_are_read(tmp_path, image, label):
    table = pa.table({"other": [1, 2], label: [1, 0], image: [random_png(8), random_png(8)]})
    pq.write_table(
        table.replace_schema_metadata(features(["x", "y"], label)), tmp_path / "a.parquet"
    )
    source = Parquet(
        str(tmp_path / "a.parquet"),
        size=8,
        image_column="picture" if image == "picture" else "",
        label_column="kind" if label == "kind" else "",
    )
    assert source.read("train", 0, 2).labels.tolist() == [1, 0]
    assert source.info().class_names == ("x", "y")


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_names_as_labels_are_classes_of_the_training_set_in_natural_order(tmp_path, kind):
    names = ["dog 10", "dog 9", None, "cat", "dog 10", ""]
    labels = pa.array(names, pa.string())
    if kind == "dictionary":
        labels = labels.dictionary_encode()
    else:
        labels = labels.cast(getattr(pa, kind)())
    images = [random_png(8) for _ in names]
    write_parquet(tmp_path / "train.parquet", images, labels, row_group_size=4)
    write_parquet(tmp_path / "test.parquet", images[:3], ["dog 9", "lion", "cat"])
    source = Parquet(str(tmp_path), size=8)
    assert source.info().class_names == ("cat", "dog 9", "dog 10")
    assert source.labels("train").tolist() == [2, 1, -1, 0, 2, -1]
    assert source.labels("test").tolist() == [1, -1, 0]
    batch = source.read("train", 1, 6)
    assert batch.labels.tolist() == [1, 0, 2]
    assert [sample.index for sample in batch.rejected] == [2, 5]
    assert "'cat' is 0, 'dog 9' is 1" in source.describe().recognized[0]


@pytest.mark.parametrize(
    ("given", "labels", "class_names"),
    [
        ([1, 2, 3, 2], [0, 1, 2, 1], ("1", "2", "3")),
        ([102, 100, 102, 101], [2, 0, 2, 1], ("100", "101", "102")),
        ([0, 2, 1, 2], [0, 2, 1, 2], ("0", "1", "2")),
    ],
)
def test_numbers_that_do_not_start_at_0_are_mapped_by_value(tmp_path, given, labels, class_names):
    images = [random_png(8) for _ in given]
    for file_labels in (given, pa.array(given, pa.int64()).dictionary_encode()):
        file = write_parquet(tmp_path / "a.parquet", images, file_labels)
        source = Parquet(str(file), size=8)
        assert source.labels("train").tolist() == labels
        assert source.info().class_names == class_names
        assert source.read("train", 0, 4).labels.tolist() == labels
        assert bool(source.describe().recognized) == (class_names[0] != "0")


def test_hidden_test_labels_are_no_labels_and_describing_reads_no_test_file(tmp_path):
    write_shards(tmp_path, "train", [0, 1, 0], 1)
    write_shards(tmp_path, "test", [-1, -1], 1)
    source = Parquet(str(tmp_path), size=8)
    assert source.labels("test").tolist() == [-1, -1]
    described = source.describe()
    for file in tmp_path.glob("test*.parquet"):
        file.write_bytes(b"damaged")
    assert source.describe() == described


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view()])
def test_other_types_of_bytes_are_read(tmp_path, kind):
    images = pa.array([random_png(8), None, random_png(8)], kind)
    pq.write_table(pa.table({"image": images, "label": [0, 1, 1]}), tmp_path / "a.parquet")
    batch = Parquet(str(tmp_path / "a.parquet"), size=8).read("train", 0, 3)
    assert batch.index.tolist() == [0, 2]


def test_texts_that_are_no_unicode_are_shown_escaped(tmp_path):
    raw = pa.array([b"a\xff.png", b"b.png"], pa.binary()).view(pa.string())
    images = pa.StructArray.from_arrays(
        [pa.array([random_png(8)] * 2), raw],
        fields=[pa.field("bytes", pa.binary()), pa.field("path", pa.string())],
    )
    table = pa.table({"image": images, "label": pa.array([b"x\xff", b"y"]).view(pa.string())})
    pq.write_table(table, tmp_path / "a.parquet")
    source = Parquet(str(tmp_path / "a.parquet"), size=8)
    assert source.info().class_names == ("x\\xff", "y")
    assert source.read("train", 0, 2).origin == ("a\\xff.png", "b.png")


def test_numbers_in_one_file_and_names_in_another_are_refused(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", [random_png(8)], [0])
    write_parquet(tmp_path / "train-1.parquet", [random_png(8)], ["a"])
    with pytest.raises(InputError, match="of two kinds"):
        Parquet(str(tmp_path)).labels("train")


def test_very_many_different_names_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ray_defense.data.rows.label_mapping.MAX_CLASSES", 3)
    names = [f"id {row}" for row in range(5)]
    write_parquet(tmp_path / "train.parquet", [random_png(8)] * 5, names)
    with pytest.raises(InputError, match="more than 3 different names"):
        Parquet(str(tmp_path)).info()


def test_a_column_hidden_behind_a_dot_in_a_name_is_refused(tmp_path):
    table = pa.table({"image": [random_png(8)], "label": [0], "label.x": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="2 columns label"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).read("train", 0, 1)


def test_one_long_name_repeated_in_every_row_does_not_fill_the_memory(tmp_path):
    num_rows = 20_000
    keys = pa.array(np.zeros(num_rows, np.int32))
    labels = pa.DictionaryArray.from_arrays(keys, pa.array(["n" * 1_000_000]))
    images = pa.array([b""] * num_rows)
    file = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"image": images, "label": labels}),
        file,
        store_schema=False,
        dictionary_pagesize_limit=2**24,
    )
    with counted_memory() as counting_pool, pytest.raises(InputError, match="times its size"):
        Parquet(str(file)).info()
    assert counting_pool.max_memory() < 120_000_000
