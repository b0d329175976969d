"""Datasets that `save_to_disk()` wrote are read as they are, and hostile ones are refused."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources import row_files
from ray_defense.data.sources.listing import iterate_split
from ray_defense.data.sources.recognize import recognize
from ray_defense.data.sources.saved_dataset import SavedDataset
from ray_defense.data.sources.split_files import SplitFiles
from ray_defense.decoding import arrow_messages
from tests.support.encoded_images import encode_image, random_picture, random_png
from tests.support.saved_datasets import image_table, save_dataset, write_stream

NAMES = ["ant", "bee", "cat"]


def test_a_saved_dataset_is_read_across_files_and_batches(tmp_path):
    pictures = [random_picture() for _ in range(23)]
    images = [encode_image(picture) for picture in pictures]
    labels = [number % 3 for number in range(23)]
    tables = [image_table(images[:11], labels[:11], NAMES), image_table(images[11:], labels[11:])]
    folder = save_dataset(tmp_path / "saved", tables)
    recognized = recognize(str(folder))
    source = recognized.source
    assert source == SavedDataset(str(folder))
    assert "a dataset that save_to_disk() wrote, 3 classes" in recognized.sentences[0]
    assert source.info().class_names == tuple(NAMES)
    assert source.labels("train").tolist() == labels
    assert source.labels("test").tolist() == []
    for low, high in ((0, 23), (2, 13), (9, 10), (11, 40), (23, 30), (5, 5)):
        batch = source.read("train", low, high)
        assert batch.index.tolist() == list(range(low, min(high, 23)))
        if len(batch.index):
            assert np.array_equal(batch.images, pictures[low:high])
    assert [len(batch.index) for batch in iterate_split(source, "train", 10)] == [10, 10, 3]
    limited = SavedDataset(str(folder), limit=12)
    assert limited.labels("train").tolist() == labels[:12]
    assert limited.read("train", 8, 23).index.tolist() == [8, 9, 10, 11]


def test_the_splits_of_a_saved_set_are_told_by_their_names(tmp_path):
    for split in ("unsupervised", "validation", "train"):
        save_dataset(tmp_path / split, [image_table([random_png()] * 3, [0, 1, 2], NAMES)])
    splits = {"splits": ["unsupervised", "validation", "train"]}
    (tmp_path / "dataset_dict.json").write_text(json.dumps(splits))
    recognized = recognize(str(tmp_path))
    assert recognized.source == SavedDataset(str(tmp_path))
    assert "The test set is the split 'validation'." in recognized.sentences
    assert "These splits are not read: 'unsupervised'." in recognized.sentences
    assert recognized.source.labels("test").tolist() == [0, 1, 2]
    assert recognized.source.signature("train") != recognized.source.signature("test")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["unsupervised", "validation"]}')
    with pytest.raises(InputError, match="no split called train, but 'unsupervised', 'validation'"):
        recognize(str(tmp_path))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["validation"]}')
    only = recognize(str(tmp_path))
    assert "The only split, 'validation', is the training set." in only.sentences
    assert only.source.labels("test").tolist() == []


def test_one_arrow_file_alone_is_read_and_the_other_format_of_arrow_is_refused(tmp_path):
    file = write_stream(tmp_path / "a.arrow", image_table([random_png()] * 4, [0, 1, 0, 1]))
    assert recognize(str(file)).source.labels("train").tolist() == [0, 1, 0, 1]
    table = image_table([random_png()] * 2, [0, 1])
    with pa.ipc.new_file(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match="no Arrow stream: write the data with save_to_disk"):
        recognize(str(tmp_path / "b.arrow"))


def test_class_names_come_from_the_schema_or_else_from_the_file_beside_it(tmp_path):
    plain = image_table([random_png()] * 2, [0, 1])
    folder = save_dataset(tmp_path / "a", [plain], info_names=["x", "y", "z"])
    source = SavedDataset(str(folder))
    assert source.info().class_names == ("x", "y", "z")
    before = source.signature("train")
    (folder / "dataset_info.json").write_text('{"features": {"label": {"names": ["x", "new"]}}}')
    assert source.signature("train") != before
    assert source.info().class_names == ("x", "new")
    (folder / "dataset_info.json").unlink()
    assert source.info().class_names == ("0", "1")


def test_bad_rows_are_rejected_with_their_position_and_names_become_classes(tmp_path):
    images = [random_png(), None, b"junk", random_png()]
    labels = pa.array(["dog", "cat", "cat", None])
    folder = save_dataset(tmp_path / "a", [image_table(images, labels)])
    source = SavedDataset(str(folder))
    assert source.info().class_names == ("cat", "dog")
    batch = source.read("train", 0, 9)
    assert batch.index.tolist() == [0]
    assert batch.labels.tolist() == [1]
    reasons = [sample.reason for sample in batch.rejected]
    assert [sample.index for sample in batch.rejected] == [1, 2, 3]
    assert reasons[0] == "no image bytes in the row"
    assert "there is none" in reasons[2]


def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(tmp_path):
    table = image_table([random_png() for _ in range(8)], [0, 1] * 4)
    file = write_stream(tmp_path / "a.arrow", table)
    data = file.read_bytes()
    with open(file, "rb") as opened:
        layout = arrow_messages.walk_stream(opened)
    second = layout.batches[1].offset  # a whole batch before it
    for length in (0, 7, 8, 100, layout.schema_bytes, second, len(data) - 8, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(InputError, match="Arrow stream"):
            SavedDataset(str(file)).info()
    file.write_bytes(data + b"more")
    with pytest.raises(InputError, match="Arrow stream"):
        SavedDataset(str(file)).info()


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_batches_which_could_decode_to_any_size_are_refused(tmp_path, codec):
    table = image_table([bytes(2**20)] * 4, [0, 1, 0, 1])
    options = pa.ipc.IpcWriteOptions(compression=codec)
    file = write_stream(tmp_path / "a.arrow", table, options=options)
    with pytest.raises(InputError, match=r"compressed record batches.*to_parquet"):
        SavedDataset(str(file)).labels("train")


def test_columns_whose_rows_can_be_the_same_bytes_over_and_over_are_refused(tmp_path):
    views = pa.table({"image": pa.array([random_png()] * 2, pa.binary_view()), "label": [0, 1]})
    with pytest.raises(InputError, match="is of views: write it as binary"):
        SavedDataset(str(write_stream(tmp_path / "a.arrow", views))).info()
    labels = pa.array(["a", "b"]).dictionary_encode()
    coded = pa.table({"image": [random_png()] * 2, "label": labels})
    with pytest.raises(InputError, match="may be a dictionary"):
        SavedDataset(str(write_stream(tmp_path / "b.arrow", coded))).info()


def test_a_batch_that_is_too_large_for_the_memory_is_refused_before_it_is_read(
    tmp_path, monkeypatch
):
    file = write_stream(tmp_path / "a.arrow", image_table([random_png()] * 4, [0, 1, 0, 1]))
    monkeypatch.setattr(arrow_messages, "_MAX_BATCH_BYTES", 5000)
    with pytest.raises(InputError, match="a record batch of [0-9]+ bytes, over 5000"):
        SavedDataset(str(file)).info()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("state.json", '{"_data_files": [{"filename": "../x.arrow"}]}', "names the file"),
        ("state.json", '{"_data_files": [{"filename": "/etc/passwd"}]}', "names the file"),
        ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', "fetch it too"),
        ("state.json", '{"_data_files": []}', "names no data files"),
        ("state.json", '{"_data_files": 7}', "names no data files"),
        ("state.json", "[" * 100_000, "is no JSON"),
        ("state.json", "\xff", "is no JSON|names no"),
        ("dataset_dict.json", '{"splits": ["..", "train"]}', "names the split"),
        ("dataset_dict.json", '{"splits": {"train": 1}}', "names no splits"),
    ],
)
def test_what_stands_beside_the_files_is_not_believed(tmp_path, file, content, message):
    save_dataset(tmp_path, [image_table([random_png()] * 2, [0, 1])])
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=message):
        recognize(str(tmp_path))


def test_links_are_not_followed(tmp_path):
    save_dataset(tmp_path / "real", [image_table([random_png()] * 2, [0, 1])])
    (tmp_path / "linked").mkdir()
    for name in os.listdir(tmp_path / "real"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    with pytest.raises(InputError, match="is a link or no regular file"):
        recognize(str(tmp_path / "linked"))


def test_files_without_images_or_with_pixels_in_lists_are_refused_with_what_would_work(tmp_path):
    lists = pa.table({"image": [[[0, 1], [2, 3]]] * 2, "label": [0, 1]})
    with pytest.raises(InputError, match="write encoded images"):
        SavedDataset(str(write_stream(tmp_path / "a.arrow", lists))).info()
    other = pa.table({"text": ["a", "b"], "label": [0, 1]})
    with pytest.raises(InputError, match="no column image or img"):
        SavedDataset(str(write_stream(tmp_path / "b.arrow", other))).info()


def test_a_file_that_changes_while_it_is_read_ends_the_reading(tmp_path):
    file = write_stream(tmp_path / "a.arrow", image_table([random_png()] * 8, [0, 1] * 4))
    source = SavedDataset(str(file))
    samples = source.read_encoded("train", 0, 8)
    next(samples)
    os.utime(file, ns=(1, 1))
    with pytest.raises(InputError, match="it changed while it was read"):
        list(samples)


def test_a_source_of_rows_must_say_where_they_are():
    source = row_files.RowFiles()
    with pytest.raises(NotImplementedError):
        source.files()
    with pytest.raises(NotImplementedError):
        source.row_reader()
    assert isinstance(SavedDataset.files(SavedDataset(__file__)), SplitFiles)
