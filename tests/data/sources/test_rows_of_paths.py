"""Rows that name image files: read below one folder, through no link, and rejected one by one."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.listing import capture_split, iterate_split
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.recognize import recognize
from ray_defense.data.sources.row_files import RowFiles
from ray_defense.data.sources.saved_dataset import SavedDataset
from tests.support.arrow_memory import counted_memory
from tests.support.encoded_images import encode_image, random_picture, random_png
from tests.support.paths_astray import plant_paths_astray
from tests.support.saved_datasets import save_dataset, write_stream

SIDE = 32


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with `images/0.png` to `images/9.png`."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "data" / "images" / f"{number}.png").write_bytes(random_png())
    return tmp_path / "data"


def structs(paths: list[str | None]) -> pa.Array:
    """Returns images as Hugging Face stores them that were not embedded."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.array([{"bytes": None, "path": path} for path in paths], kind)


def structs_of_paths(paths: list[str | None]) -> pa.Array:
    return pa.array([{"path": path} for path in paths], pa.struct({"path": pa.string()}))


COLUMNS = {
    "texts": lambda paths: pa.array(paths, pa.string()),
    "large texts": lambda paths: pa.array(paths, pa.large_string()),
    "structs": structs,
    "structs of paths alone": structs_of_paths,
}


def parquet_of(folder: Path, column: pa.Array, labels: list, name: str = "image") -> RowFiles:
    file = folder / "train.parquet"
    pq.write_table(pa.table({name: column, "label": labels}), file, row_group_size=3)
    return Parquet(str(file))


def saved_of(folder: Path, column: pa.Array, labels: list, name: str = "image") -> RowFiles:
    save_dataset(folder, [pa.table({name: column, "label": labels})])
    return SavedDataset(str(folder))


WRITERS = {"parquet": parquet_of, "saved dataset": saved_of}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


@pytest.mark.parametrize("kind", COLUMNS)
def test_files_that_rows_name_are_read_in_the_order_of_the_rows(folder, write, kind):
    numbers = [3, 1, 7, 0, 9, 2, 5]
    pictures = {}
    for number in numbers:
        pictures[number] = random_picture()
        (folder / "images" / f"{number}.png").write_bytes(encode_image(pictures[number]))
    column = COLUMNS[kind]([f"images/{number}.png" for number in numbers])
    source = write(folder, column, [0, 1, 2, 0, 1, 2, 0])
    assert source.labels("train").tolist() == [0, 1, 2, 0, 1, 2, 0]
    for low, high in ((0, 7), (2, 5), (6, 20), (3, 3), (-2, 2)):
        expected = numbers[max(low, 0) : high]
        batch = source.read("train", low, high)
        assert batch.index.tolist() == list(range(max(low, 0), min(high, 7)))[: len(expected)]
        assert batch.origin == tuple(f"images/{number}.png" for number in expected)
        for pixels, number in zip(batch.images, expected, strict=True):
            assert np.array_equal(pixels, pictures[number])
    encoded = list(source.read_encoded("train", 1, 3))
    assert [sample.index for sample in encoded] == [1, 2]
    assert np.array_equal(source.decode(encoded[0].content), pictures[1])
    assert [len(batch.index) for batch in iterate_split(source, "train", 3)] == [3, 3, 1]
    assert f"name, below {str(folder)!r}" in source.describe().recognized[-1]


def test_paths_that_lead_out_links_and_missing_files_are_rejected(folder, write):
    (folder / "inside.png").symlink_to(folder / "images" / "0.png")
    (folder / "text.png").write_text("no image")
    paths = {
        **plant_paths_astray(folder),
        "inside.png": "not a regular file",
        None: "no path",
        "n" * 50_000: "no path",
        "text.png": "no JPEG",
    }
    for column_of in COLUMNS.values():
        column = column_of([*paths, f"{folder}/images/1.png", "./images//2.png"])
        source = write(folder, column, [number % 2 for number in range(len(paths) + 2)])
        batch = source.read("train", 0, 99)
        assert batch.index.tolist() == [len(paths), len(paths) + 1]
        for sample, reason in zip(batch.rejected, paths.values(), strict=True):
            assert reason in sample.reason, sample
    with pytest.raises(DecodeError, match="leads out"):
        list(source.read_encoded("train", 0, 1))


def test_a_file_that_is_larger_than_an_image_can_be_is_rejected_unread(folder, write):
    with open(folder / "images" / "0.png", "r+b") as image:
        image.truncate(2**40)  # no byte of it is on the disk
    source = write(folder, structs(["images/0.png", "images/1.png"]), [0, 1])
    batch = source.read("train", 0, 2)
    assert [sample.index for sample in batch.rejected] == [0]
    assert "bytes" in batch.rejected[0].reason


def test_another_folder_of_the_images_is_read(folder, write):
    (folder.parent / "tables").mkdir()
    source = write(folder.parent / "tables", pa.array(["0.png", "1.png"]), [1, 0])
    assert len(source.read("train", 0, 2).rejected) == 2
    settings = {"folder": str(folder / "images")}
    moved = recognize(source.path, settings)
    assert moved.source.read("train", 0, 2).labels.tolist() == [1, 0]
    assert str(folder / "images") in moved.sentences[-1]


@pytest.mark.parametrize("name", ["file_name", "image_path", "path", "filename", "picture"])
def test_a_column_of_paths_may_have_its_usual_names_or_a_given_one(folder, write, name):
    source = write(folder, pa.array(["images/0.png", "images/1.png"]), [0, 1], name)
    settings = {"image_column": "picture"} if name == "picture" else {}
    found = recognize(source.path, settings).source
    assert found.read("train", 0, 2).labels.tolist() == [0, 1]


def test_bytes_come_before_paths_where_a_table_has_both(folder):
    image = pa.array([random_png(), random_png()])
    table = pa.table({"file_name": ["a.png", "b.png"], "image": image, "label": [0, 1]})
    pq.write_table(table, folder / "train.parquet")
    source = Parquet(str(folder))
    assert source.list_files("train") is None
    assert source.read("train", 0, 2).origin == ("row 0", "row 1")


def test_a_row_without_bytes_among_others_that_have_some_is_rejected(folder, write):
    column = structs(["images/0.png"] * 8).to_pylist()
    column[7]["bytes"] = random_png()
    source = write(folder, pa.array(column), [0, 1] * 4)
    batch = source.read("train", 0, 8)
    assert batch.index.tolist() == [7]
    assert {sample.reason for sample in batch.rejected} == {"no image bytes in the row"}


def test_files_of_paths_and_files_of_bytes_are_not_one_split(folder):
    for number, column in enumerate((pa.array(["images/0.png"]), pa.array([random_png()]))):
        table = pa.table({"image": column, "label": [number]})
        pq.write_table(table, folder / f"train-{number}.parquet")
    with pytest.raises(
        InputError, match=r"train-0.parquet' are paths of files, .* write one again"
    ):
        Parquet(str(folder)).read("train", 0, 2)


def test_a_limit_keeps_the_first_training_rows(folder):
    paths = [f"images/{number}.png" for number in range(10)]
    table = pa.table({"image": paths, "label": [number % 2 for number in range(10)]})
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}.parquet", row_group_size=4)
    limited = Parquet(str(folder), limit=5)
    assert limited.labels("train").tolist() == [0, 1, 0, 1, 0]
    assert limited.read("train", 3, 9).origin == ("images/3.png", "images/4.png")
    assert len(limited.read("test", 0, 99).index) == 10


def test_a_file_that_changes_after_it_was_listed_ends_the_run(folder, write):
    column = structs([*(f"images/{number}.png" for number in range(6)), "gone.png"])
    source = write(folder, column, [0, 1, 0, 1, 0, 1, 1])
    captured, labels = capture_split(source, "train", folder.parent / "listings", 4)
    assert labels.tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert captured.signature == source.signature("train")
    assert captured.read(0, 4).index.tolist() == [0, 1, 2, 3]
    assert [sample.index for sample in captured.read(4, 7).rejected] == [6]
    (folder / "images" / "1.png").write_bytes(random_png())
    os.utime(folder / "images" / "1.png", ns=(1, 1))
    with pytest.raises(RunError, match="changed while"):
        captured.read(0, 4)
    assert source.signature("train") != captured.signature


def test_names_that_are_no_unicode_are_read(folder):
    name = os.fsencode(folder) + b"/images/\xff.png"
    Path(os.fsdecode(name)).write_bytes(random_png())
    column = pa.array([b"images/\xff.png", b"images/1.png"], pa.binary()).view(pa.string())
    batch = parquet_of(folder, column, [0, 1]).read("train", 0, 2)
    assert batch.origin == ("images/\\udcff.png", "images/1.png")


def test_more_paths_than_a_table_may_name_are_refused(folder, write, monkeypatch):
    source = write(folder, pa.array([f"images/{number}.png" for number in range(8)]), [0, 1] * 4)
    for limit in ("MAX_NAMED_FILES", "MAX_PATHS_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(f"ray_defense.data.rows.image_rows.{limit}", 7)
            with pytest.raises(InputError, match="split it"):
                source.read("train", 0, 1)


def test_one_long_path_repeated_in_every_row_does_not_fill_the_memory(folder):
    num_rows = 20_000
    keys = pa.array(np.zeros(num_rows, np.int32))
    paths = pa.DictionaryArray.from_arrays(keys, pa.array(["n" * 1_000_000]))
    labels = pa.array(np.arange(num_rows) % 2)
    for store_schema in (False, True):
        pq.write_table(
            pa.table({"image": paths, "label": labels}),
            folder / "a.parquet",
            store_schema=store_schema,
            dictionary_pagesize_limit=2**24,
        )
        with counted_memory() as counting_pool, pytest.raises(InputError, match="times its size"):
            Parquet(str(folder / "a.parquet")).read("train", 0, 1)
        assert counting_pool.max_memory() < 200_000_000


def test_paths_that_repeat_by_number_are_read(folder):
    paths = pa.array(["images/0.png", "images/1.png", None, "images/0.png"]).dictionary_encode()
    batch = parquet_of(folder, paths, [0, 1, 0, 1]).read("train", 0, 4)
    assert batch.origin == ("images/0.png", "images/1.png", "images/0.png")
    assert [sample.index for sample in batch.rejected] == [2]


def test_an_arrow_file_alone_names_files_beside_it(folder):
    table = pa.table({"image": ["images/0.png", "images/1.png"], "label": [0, 1]})
    file = write_stream(folder / "a.arrow", table)
    assert recognize(str(file)).source.read("train", 0, 2).labels.tolist() == [0, 1]


@pytest.mark.parametrize("has_bytes", [False, True])
def test_a_field_beside_the_image_whose_name_is_no_unicode_does_no_harm(folder, has_bytes):
    """Found by fuzzing: pyarrow raises UnicodeDecodeError when it is asked for all names."""
    data = random_png() if has_bytes else None
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string(), "qqqq": pa.int64()})
    images = [{"bytes": data, "path": f"images/{number}.png", "qqqq": 1} for number in range(2)]
    file = write_stream(
        folder / "a.arrow", pa.table({"image": pa.array(images, kind), "label": [0, 1]})
    )
    content = file.read_bytes()
    assert content.count(b"qqqq") == 1
    file.write_bytes(content.replace(b"qqqq", b"q\xffqq"))
    assert SavedDataset(str(file)).read("train", 0, 2).labels.tolist() == [0, 1]
