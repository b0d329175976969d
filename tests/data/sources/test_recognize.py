"""Data of every kind is recognized by its source, or refused with the line that would work."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.data.sources.archive_images import ArchiveImages
from ray_defense.data.sources.arrays import Arrays
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.recognize import recognize
from ray_defense.data.sources.table import Table
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders, write_parquet


def write_flat_folder(folder: Path, table: str) -> Path:
    (folder / "images").mkdir(parents=True)
    lines = ["file,label"]
    for number in range(4):
        (folder / "images" / f"{number}.png").write_bytes(random_png(8))
        lines.append(f"images/{number}.png,{'cat' if number % 2 else 'dog'}")
    (folder / table).write_text("\n".join(lines))
    return folder


def test_class_folders_are_recognized(tmp_path):
    write_class_folders(tmp_path / "train", {"cat": 2, "dog": 2})
    write_class_folders(tmp_path / "test", {"cat": 1, "dog": 1})
    for path in (tmp_path, tmp_path / "train"):
        recognized = recognize(str(path))
        assert recognized.source == ImageFolder(str(path))
        assert "one folder of images for each class, 2 classes" in recognized.sentences[0]


def test_a_table_beside_class_folders_does_not_make_them_a_flat_folder(tmp_path):
    write_class_folders(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / "notes.csv").write_text("file,label\n")
    assert recognize(str(tmp_path)).source == ImageFolder(str(tmp_path))


def test_a_flat_folder_with_a_table_is_recognized(tmp_path):
    folder = write_flat_folder(tmp_path / "data", "labels.csv")
    for path in (folder, folder / "labels.csv"):
        recognized = recognize(str(path))
        assert recognized.source == Table(str(folder / "labels.csv"))
        assert recognized.sentences[-1].startswith("The classes are the labels")
    (folder / "other.csv").write_text("file,label\n")
    with pytest.raises(InputError, match=r"2 tables: give the one .*labels.csv'"):
        recognize(str(folder))


def test_parquet_is_recognized_whatever_its_name_is(tmp_path):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    write_parquet(file, [random_png(8)] * 2, [0, 1])
    (tmp_path / "noname").write_bytes(file.read_bytes())
    for path in (tmp_path, tmp_path / "data", file, tmp_path / "noname"):
        recognized = recognize(str(path))
        assert recognized.source == Parquet(str(path))
        assert "Parquet" in recognized.sentences[0]


def test_arrays_are_recognized(tmp_path):
    images = np.zeros((4, 28, 28), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=[0, 1, 0, 1])
    recognized = recognize(str(tmp_path / "a.npz"))
    assert recognized.source == Arrays(str(tmp_path / "a.npz"))
    assert "4 images of 28x28 are the training set" in recognized.sentences[1]
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "images.npy", images)
    np.save(tmp_path / "npy" / "labels.npy", [0, 1, 0, 1])
    for path in (tmp_path / "npy", tmp_path / "npy" / "images.npy"):
        assert recognize(str(path)).source == Arrays(str(tmp_path / "npy"))


def test_archives_are_recognized(tmp_path):
    for name in ("a.zip", "noname"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("cat/0.png", random_png(8))
            archive.writestr("dog/0.png", random_png(8))
        recognized = recognize(str(tmp_path / name))
        assert recognized.source == ArchiveImages(str(tmp_path / name))
        assert "an archive of images, 2 classes" in recognized.sentences[0]
    assert recognize(str(tmp_path)).source == ArchiveImages(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.beton", "cannot read .* as .beton"),
        ("a.pkl", "a pickle can run any code"),
        ("a.pth", "a pickle can run any code"),
        ("a.rar", "unpack it"),
        ("a.jsonl", r"as a .csv file"),
        ("a.png", "one folder of images for each class"),
        ("bd_train_dataset/0/1.png", "is a record of BackdoorBench.*add --clean"),
        ("dataset_dict.json", "is no JSON.*save_to_disk.*to_parquet"),
        ("data_batch_1", "pickles of CIFAR"),
    ],
)
def test_what_nothing_reads_is_refused_with_what_would_work(tmp_path, name, message):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"content")
    is_folder = name in ("bd_train_dataset/0/1.png", "dataset_dict.json", "data_batch_1")
    with pytest.raises(InputError, match=message):
        recognize(str(tmp_path if is_folder else file))


def test_a_path_to_nothing_or_to_a_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("", str(tmp_path / "gone"), str(tmp_path / "pipe"), str(tmp_path)):
        with pytest.raises(InputError):
            recognize(path)


def test_every_source_of_image_files_records_what_it_converted(tmp_path: Path) -> None:
    gray = Image.fromarray(np.full((9, 9), 7, np.uint8))
    buffer = io.BytesIO()
    gray.save(buffer, "PNG")
    folder = tmp_path / "folder"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.png").write_bytes(buffer.getvalue())
    rows = {"image": [buffer.getvalue()] * 2, "label": [0, 1]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    (folder / "list.csv").write_text("path,label\na/x.png,0\nb/x.png,1\n")
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name in ("a", "b"):
            archive.add(folder / name / "x.png", f"{name}/x.png")
    for path in ("folder/list.csv", "t.parquet", "t.tar", "folder"):
        if path == "folder":
            (folder / "list.csv").unlink()
        source = recognize(str(tmp_path / path)).source
        batch = source.read("train", 0, 2)
        assert [(sample.index, sample.conversion) for sample in batch.converted] == [
            (0, "gray"),
            (1, "gray"),
        ], path


def test_columns_and_depth_can_be_named_whatever_the_source_calls_them(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("animal/cat", "animal/dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.png").write_bytes(random_png(8))
    rows = "picture,species\nanimal/cat/x.png,a\nanimal/dog/x.png,b\n"
    (tmp_path / "folder" / "t.csv").write_text(rows)
    settings = {"image_column": "picture", "label_column": "species"}
    table = recognize(str(folder / "t.csv"), settings).source
    assert table.info().class_names == ("a", "b")
    (folder / "t.csv").unlink()
    leaves = recognize(str(folder), {"classes": "leaf"}).source
    assert leaves.info().class_names == ("animal/cat", "animal/dog")
    with pytest.raises(InputError, match="which has no label_column: leave it out"):
        recognize(str(folder), {"classes": "leaf", "label_column": "species"})
