"""Parquet files made to fill the memory or the time are refused, whatever their footer says."""

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASS_NAMES_BYTES, MAX_CLASSES
from ray_defense.data.rows import parquet_rows
from ray_defense.data.sources.labels import check_labels
from ray_defense.data.sources.parquet import Parquet
from ray_defense.decoding import parquet_pages
from ray_defense.decoding.parquet_pages import PageError, read_row_groups, walk_pages
from tests.support.arrow_memory import counted_memory
from tests.support.encoded_images import random_png
from tests.support.parquet_bombs import write_lying_bomb
from tests.support.source_files import write_parquet


@pytest.fixture
def counting_pool():
    """The memory pool of Arrow, which counts how much of it was in use at once."""
    with counted_memory() as pool:
        yield pool


@pytest.mark.parametrize("value_megabytes", [1, 40, 60, 90])
def test_a_footer_that_says_nothing_of_its_bomb_is_not_believed(
    value_megabytes, tmp_path, counting_pool
):
    """Input row 9: a kilobyte took 2.7 GB, since sixty-four rows were decoded at a time."""
    file = tmp_path / "a.parquet"
    write_lying_bomb(file, value_megabytes << 20, num_rows=200)
    assert file.stat().st_size < 5000
    with pytest.raises(InputError, match="times its size"):
        Parquet(str(file), num_classes=2).read("train", 0, 200)
    assert counting_pool.max_memory() < 300_000_000


def test_a_page_that_decodes_to_more_than_the_file_allows_is_refused_undecoded(
    tmp_path, counting_pool
):
    file = tmp_path / "a.parquet"
    write_lying_bomb(file, 90 << 20, num_rows=64)
    counted = counting_pool.max_memory()
    with pytest.raises(InputError, match="a page that decodes to 94371844 bytes"):
        Parquet(str(file), num_classes=2).labels("train")
    assert counting_pool.max_memory() - counted < 10_000_000


def test_another_field_of_the_image_is_not_even_decoded(tmp_path, counting_pool):
    """Input row 9: the path beside the bytes of an image may hold anything."""
    images = []
    for _ in range(64):
        images.append({"bytes": random_png(), "path": "x" * 2_000_000})
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1] * 32)
    del images
    counted = counting_pool.bytes_allocated()
    batch = Parquet(str(file), num_classes=2).read("train", 0, 64)
    assert len(batch.index) == 64
    assert counting_pool.max_memory() - counted < 150_000_000


def test_more_rows_than_a_file_can_hold_are_refused(tmp_path):
    """Input row 9: 131 KB with twelve million empty rows took hours."""
    num_rows = 3_000_000
    image = pa.nulls(num_rows, pa.binary())
    table = pa.table({"image": image, "label": np.zeros(num_rows, np.int8)})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    source = Parquet(str(tmp_path / "a.parquet"), num_classes=2)
    for question in (lambda: source.labels("train"), lambda: source.read("train", 0, 9)):
        with pytest.raises(InputError, match="3000000 rows, .* times its size"):
            question()


def test_ranges_of_a_row_group_decode_it_once(tmp_path, monkeypatch):
    """Input row 9: every range read its row group from the start, the square of its rows."""
    num_rows = 4000
    images = [b"%d" % row for row in range(num_rows)]
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1] * (num_rows // 2))
    source = Parquet(str(file), num_classes=2)
    num_decoded = 0
    real_next_rows = parquet_rows._RowStream.next_rows

    def next_rows(stream):
        nonlocal num_decoded
        rows = real_next_rows(stream)
        num_decoded += 0 if rows is None else len(rows)
        return rows

    monkeypatch.setattr(parquet_rows._RowStream, "next_rows", next_rows)
    positions = []
    for low in range(0, num_rows, 50):
        batch = source.read("train", low, low + 50)
        positions += [sample.index for sample in batch.rejected]
    assert positions == list(range(num_rows))
    # Rows that are put back for the next range count twice.
    assert num_decoded < 3 * num_rows


@pytest.mark.parametrize("row_group_size", [None, 7])
def test_any_order_of_ranges_gives_the_rows_of_the_file(row_group_size, tmp_path):
    pngs = [random_png(8) for _ in range(40)]
    labels = [row % 3 for row in range(40)]
    file = write_parquet(tmp_path / "a.parquet", pngs, labels, row_group_size=row_group_size)
    source = Parquet(str(file), size=8)
    whole = source.read("train", 0, 40)
    ranges = [(0, 5), (5, 6), (6, 30), (28, 33), (2, 4), (4, 40), (39, 40), (0, 40), (12, 12)]
    for low, high in ranges:
        part = source.read("train", low, high)
        assert part.index.tolist() == list(range(low, high))
        assert np.array_equal(part.images, whole.images[low:high])


def test_a_file_that_is_written_anew_is_not_read_on(tmp_path):
    file = tmp_path / "a.parquet"
    source = Parquet(str(file), size=8, num_classes=2)
    for _ in range(2):
        write_parquet(file, [random_png(8) for _ in range(200)], [0, 1] * 100)
        first = source.read("train", 0, 2)
        write_parquet(file, [random_png(8) for _ in range(200)], [1, 0] * 100)
        second = source.read("train", 2, 4)
        assert second.labels.tolist() == [1, 0]
        assert not np.array_equal(first.images, second.images)


@pytest.mark.parametrize("as_list", [True, False])
def test_very_many_class_names_are_refused(as_list, tmp_path):
    """Input row 15: 4.9 MB of names took 4 GB and made a report of 67 MB."""
    for names in (["a"] * (MAX_CLASSES + 1), ["n" * MAX_CLASS_NAMES_BYTES] * 2):
        text = json.dumps(names) if as_list else ",".join(names)
        images = [random_png(8)] * 2
        file = write_parquet(tmp_path / "a.parquet", images, [0, 1], metadata={"classes": text})
        start = time.process_time()
        with pytest.raises(InputError, match="class names of|names 65537 classes"):
            Parquet(str(file)).info()
        assert time.process_time() - start < 5


def test_a_long_class_name_is_cut(tmp_path):
    """Input row 15: a name goes into every table and page that names a class."""
    metadata = {"classes": json.dumps(["n" * 5000, "\ud800<script>"])}
    images = [random_png(8)] * 2
    file = write_parquet(tmp_path / "a.parquet", images, [0, 1], metadata=metadata)
    names = Parquet(str(file)).info().class_names
    assert names == ("n" * 254 + "…", "\\ud800<script>")


@pytest.mark.parametrize("num_classes", [0, MAX_CLASSES + 1, 10**12])
def test_a_number_of_classes_beyond_all_datasets_is_refused(num_classes):
    with pytest.raises(InputError, match="num_classes"):
        Parquet("a.parquet", num_classes=num_classes)


def test_labels_that_name_very_many_classes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ray_defense.data.rows.label_mapping.MAX_CLASSES", 5)
    file = write_parquet(tmp_path / "a.parquet", [random_png(8)] * 6, list(range(6)))
    with pytest.raises(InputError, match="set num_classes"):
        Parquet(str(file)).info()


def test_a_message_does_not_repeat_a_schema_of_any_length(tmp_path):
    columns = {f"{'c' * 500}{number}": [0] for number in range(300)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no column image") as refusal:
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")
    assert len(str(refusal.value)) < 1500


class PickledType(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.binary(), "tests.pickled")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


class Exploding:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle in a schema was executed')",))


def test_an_extension_type_is_refused_or_read_as_what_it_stores(tmp_path):
    """Input row 9: a schema may name types, and once could hold pickles of them."""
    storage = pa.array([random_png(8)] * 2, pa.binary())
    table = pa.table(
        {"image": pa.ExtensionArray.from_storage(PickledType(), storage), "label": [0, 1]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Exploding()),
    }
    field = pa.field("image", pa.binary(), metadata=metadata)
    schema = pa.schema([field, pa.field("label", pa.int64())])
    pq.write_table(pa.table([storage, pa.array([0, 1])], schema), tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        source = Parquet(str(tmp_path / name), num_classes=2)
        try:
            assert len(source.read("train", 0, 2).index) == 2
        except InputError as error:
            assert "must have the columns" in str(error)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_the_pages_of_honest_files_are_found(version, compression, tmp_path):
    images = [random_png() for _ in range(600)]
    labels = pa.array([None if row == 5 else row % 7 for row in range(600)], pa.int64())
    table = pa.table({"image": images, "label": labels})
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        compression=compression,
        data_page_version=version,
        data_page_size=100_000,
        write_batch_size=20,
        use_dictionary=["label"],
        row_group_size=250,
        write_page_checksum=True,
    )
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    with open(tmp_path / "a.parquet", "rb") as file:
        for group in range(3):
            for number in range(2):
                column = metadata.row_group(group).column(number)
                chunk = read_row_groups(file)[group][number]
                assert chunk.path == column.path_in_schema
                assert chunk.num_values == column.num_values
                assert chunk.num_encoded_bytes == column.total_compressed_size
                assert chunk.data_page_offset == column.data_page_offset
                assert chunk.dictionary_page_offset == column.dictionary_page_offset
                pages = list(walk_pages(file, chunk))
                assert sum(page.num_values for page in pages) == column.num_values
                # The footer counts the headers too, with a smallest and a largest value of 3 KB.
                decoded_bytes = sum(page.decoded_bytes for page in pages)
                assert 0 <= column.total_uncompressed_size - decoded_bytes < 8000 * len(pages)
                if number == 0:
                    assert len(pages) > 2
    assert (
        len(Parquet(str(tmp_path / "a.parquet"), num_classes=7).read("train", 0, 600).index) == 599
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 200,
        b"\x15" * 4000,
        b"\x1c" * 200,
        b"\x15\x80" + b"\x80" * 200,
        b"\x0f\x00" * 9,
    ],
)
def test_bytes_that_are_no_page_header_are_an_error_of_ours(data):
    with pytest.raises((PageError, IndexError)):
        parquet_pages._parse_header(data)


def test_a_footer_of_any_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_MAX_FOOTER_BYTES", 100)
    file = write_parquet(tmp_path / "a.parquet", [random_png(8)] * 2, [0, 1])
    for question in (Parquet(str(file)).info, lambda: Parquet(str(file)).labels("train")):
        with pytest.raises(InputError, match="the footer of .* takes"):
            question()


def with_wrong_histogram(data: bytes) -> bytes:
    """Returns a file whose last column has a histogram of repetitions, which never repeat."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:-8]
    # Size statistics (field 16, a struct) with an empty list of numbers in field 2.
    before, statistics, after = footer.rpartition(b"\x3c\x29\x06")
    assert statistics
    changed = before + b"\x3c\x29\x26\x00\x00" + after  # two numbers, both 0
    return data[:start] + changed + len(changed).to_bytes(4, "little") + b"PAR1"


def test_damaged_statistics_of_a_column_do_not_end_the_process(tmp_path):
    """Row 9 of hostile inputs: Arrow aborts where the footer is asked for such a column."""
    table = pa.table({"image": [random_png()] * 20, "label": [None, *range(19)]})
    pq.write_table(table, tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(with_wrong_histogram(data))
    code = (
        "from ray_defense.core.errors import InputError\n"
        "from ray_defense.data.sources.parquet import Parquet\n"
        f"source = Parquet({str(tmp_path / 'a.parquet')!r}, num_classes=30)\n"
        "try: source.read('train', 0, 20)\n"
        "except InputError as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "histogram size mismatch" in ended.stdout


def schema_of(kind: str) -> pa.Table:
    """Returns a table of another schema than images and labels."""
    picture = random_png()
    tables: dict[str, dict[str, object]] = {
        "wrong": {"image": ["text"], "label": [0]},
        "nested": {"image": [[[picture]]], "label": [0]},
        "nulls": {"image": pa.nulls(4), "label": [0, 1, 0, 1]},
        "null labels": {"image": [picture] * 4, "label": pa.nulls(4)},
    }
    return pa.table(tables[kind])


@pytest.mark.parametrize(
    "kind", ["garbage", "truncated", "wrong", "nested", "nulls", "null labels", "extension", "bomb"]
)
def test_row_input_09_damaged_foreign_and_exploding_files_are_refused(kind: str, tmp_path: Path):
    file = tmp_path / "a.parquet"
    if kind == "garbage":
        file.write_bytes(bytes(range(256)) * 8)
    elif kind == "bomb":
        write_lying_bomb(file, 200 * 2**20, 4)
        assert file.stat().st_size < 20_000
    elif kind == "truncated":
        pq.write_table(pa.table({"image": [random_png()] * 8, "label": [0, 1] * 4}), file)
        file.write_bytes(file.read_bytes()[:-100])
    elif kind == "extension":
        stored = pa.array([b"0" * 16] * 4, pa.binary(16))
        image = pa.ExtensionArray.from_storage(pa.uuid(), stored)
        pq.write_table(pa.table({"image": image, "label": [0, 1] * 2}), file)
    else:
        pq.write_table(schema_of(kind), file)
    source = Parquet(str(file), num_classes=2)
    with pytest.raises(InputError):
        check_labels(source.labels("train"), 2)
        source.read("train", 0, 4)
