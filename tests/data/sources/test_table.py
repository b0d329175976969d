"""A table of paths and labels as a source: every row is read or rejected, and no path leads out."""

import os
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources.listing import capture_split
from ray_defense.data.sources.table import Table
from tests.support.encoded_images import random_png
from tests.support.paths_astray import plant_paths_astray


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with `images/0.png` to `images/5.png`."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number in range(6):
        (tmp_path / "data" / "images" / f"{number}.png").write_bytes(random_png(8))
    return tmp_path / "data"


def write_rows(folder: Path, header: str, rows: list[str], name: str = "labels.csv") -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n")


def test_names_and_numbers_are_labels(folder):
    for names, labels, class_names in (
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        (["2", "10", "2"], [0, 1, 0], ("2", "10")),
        (["1", "0", "1.0"], [1, 0, 1], ("0", "1")),
        (["1", "", "0"], [1, -1, 0], ("0", "1")),
        (["0", "0.5", "-1", "1"], [0, -1, -1, 1], ("0", "1")),
        (["dog 10", "dog 9", "7"], [2, 1, 0], ("7", "dog 9", "dog 10")),
    ):
        rows = [f"images/{number}.png,{name}" for number, name in enumerate(names)]
        write_rows(folder, "filename,class", rows)
        source = Table(str(folder), size=8)
        assert source.labels("train").tolist() == labels
        assert source.info().class_names == class_names
        batch = source.read("train", 0, 9)
        assert batch.labels.tolist() == [label for label in labels if label >= 0]
        assert len(batch.rejected) == sum(label < 0 for label in labels)
        assert batch.origin[0] == "images/0.png"


def test_a_split_column_tells_the_test_set(folder):
    splits = ["train", "Train", "test", "val", "train", ""]
    rows = [f"images/{number}.png\t{number % 2}\t{word}" for number, word in enumerate(splits)]
    write_rows(folder, "path\tlabel\tsplit", rows, "list.tsv")
    source = Table(str(folder / "list.tsv"), size=8)
    assert source.read("train", 0, 9).origin == tuple(f"images/{n}.png" for n in (0, 1, 4))
    assert source.labels("test").tolist() == [0]
    described = source.describe()
    assert "3 rows of the table are the training set, 1 the test" in described.recognized[0]
    assert "2 rows of the table are of another split ('val')" in described.left_out[0]
    rows = [row.replace("test", "validation") for row in rows]
    write_rows(folder, "path\tlabel\tsplit", rows, "list.tsv")
    assert source.labels("test").tolist() == [0, 1]


def test_paths_that_lead_out_links_and_missing_files_are_rejected(folder):
    paths = plant_paths_astray(folder)
    rows = [f"{path},{number % 2}" for number, path in enumerate(paths)]
    write_rows(folder, "path,label", [*rows, f"{folder}/images/1.png,0", "./images//2.png,1"])
    batch = Table(str(folder), size=8).read("train", 0, 99)
    assert batch.index.tolist() == [len(paths), len(paths) + 1]
    for sample, reason in zip(batch.rejected, paths.values(), strict=True):
        assert reason in sample.reason


def test_another_folder_of_the_images_is_read(folder):
    write_rows(folder.parent, "image;y", ["0.png;1", "1.png;0"])
    source = Table(str(folder.parent / "labels.csv"), folder=str(folder / "images"), size=8)
    assert source.read("train", 0, 2).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("pathh,label", "a,1", "no column file or .* did you mean path_column=pathh"),
        ("path,lable", "a,1", "did you mean label_column=lable"),
        ("a.png,0", "b.png,1", "set path_column to one of a.png, 0"),
        ("path,label,path", "a,1,b", "two columns 'path'"),
        ("path,label", "a,1,2", "row 1 of .* has 3 cells and its first line 2"),
        ("path,label", 'a,"1', "write it again as CSV"),
        ("path,label", f"a,{'x' * 200_000}", "write it again as CSV"),
        ("path,label,split", "a,1,lion", "no row of the table"),
        ("path,label", "", "no row of the table"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_what_is_wrong(folder, header, row, message):
    write_rows(folder, header, [row])
    with pytest.raises(InputError, match=message):
        Table(str(folder)).info()


def test_a_folder_with_two_tables_or_none_is_refused(folder):
    for path in ("", str(folder), str(folder / "gone")):
        with pytest.raises(InputError, match="no table"):
            Table(path).info()
    write_rows(folder, "path,label", ["a,1"], "a.csv")
    write_rows(folder, "path,label", ["a,1"], "b.csv")
    with pytest.raises(InputError, match=r"2 tables \('a.csv', 'b.csv'\)"):
        Table(str(folder)).info()


def test_names_that_are_no_unicode_are_read(folder):
    name = os.fsencode(folder) + b"/images/\xff.png"
    Path(os.fsdecode(name)).write_bytes(random_png(8))
    (folder / "labels.csv").write_bytes(b"path,label\nimages/\xff.png,0\nimages/1.png,1\n")
    batch = Table(str(folder), size=8).read("train", 0, 2)
    assert batch.origin == ("images/\\udcff.png", "images/1.png")


def test_a_file_that_changes_after_it_was_listed_ends_the_run(folder):
    rows = [f"images/{number}.png,{number % 2}" for number in range(6)]
    write_rows(folder, "path,label", [*rows, "gone.png,1"])
    source = Table(str(folder), size=8)
    captured, labels = capture_split(source, "train", folder.parent / "listings", 4)
    assert labels.tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert captured.signature == source.signature("train")
    assert captured.read(0, 4).index.tolist() == [0, 1, 2, 3]
    assert [sample.index for sample in captured.read(4, 7).rejected] == [6]
    (folder / "images" / "1.png").write_bytes(random_png(8))
    os.utime(folder / "images" / "1.png", ns=(1, 1))
    with pytest.raises(RunError, match="changed while"):
        captured.read(0, 4)
    assert source.signature("train") != captured.signature


def test_another_label_in_the_table_changes_the_signature(folder):
    write_rows(folder, "path,label", ["images/0.png,0", "images/1.png,1"])
    source = Table(str(folder), size=8)
    before = source.signature("train")
    write_rows(folder, "path,label", ["images/0.png,1", "images/1.png,0"])
    os.utime(folder / "labels.csv", ns=(1, 1))
    assert source.signature("train") != before


def test_a_range_reads_the_rows_of_the_range(folder):
    rows = [f"images/{number}.png,{number % 2}" for number in range(6)]
    write_rows(folder, "path,label", rows)
    source = Table(str(folder), size=8)
    whole = source.read("train", 0, 6)
    part = source.read("train", 2, 5)
    assert part.index.tolist() == [2, 3, 4]
    assert np.array_equal(part.images, whole.images[2:5])
