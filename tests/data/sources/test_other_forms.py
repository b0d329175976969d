"""Data that are no class folders are refused with the line that would read them."""

import os
import pickle
import re
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.recognize import recognize
from tests.support.encoded_images import random_png
from tests.support.source_files import write_class_folders


def write_file(path: Path, data: bytes = b"data") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("train.parquet", "--set source=parquet --set source.path={root}"),
        ("data/train-00000-of-00002.parquet", "--set source=parquet --set source.path={root}/data"),
        ("images.zip", "--set source=archive --set source.path={root}/images.zip"),
        ("shard-0000.TAR", "--set source=archive --set source.path={root}/shard-0000.TAR"),
        ("images.tar.gz", "--set source=archive --set source.path={root}/images.tar.gz"),
        ("mnist.npz", "--set source=arrays --set source.path={root}/mnist.npz"),
        ("data_batch_1", "--set source=cifar10 --set source.root={root}"),
        ("cifar-10-batches-py/data_batch_1", "--set source.root={root}/cifar-10-batches-py"),
        ("train.beton", "--set source=beton --set source.path={root}/train.beton"),
    ],
)
def test_a_folder_of_other_files_is_refused_with_the_line_that_reads_them(file, line, tmp_path):
    """Such a folder was said to have no class folders, or one label only."""
    write_file(tmp_path / file)
    for source in (ImageFolder(str(tmp_path)), ImageFolder(str(tmp_path), layout="classes")):
        with pytest.raises(InputError, match=re.escape(line.format(root=tmp_path))):
            source.info()


class Payload:
    """Touches a file when a pickle of it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mknod, (str(self.mark),)


@pytest.mark.parametrize("folder", [".", "cifar-10-batches-py"])
def test_row_input_18_pickled_batches_of_cifar_are_never_opened(folder, tmp_path):
    """Stricter than a list of what a pickle may name: the binary archive takes their place."""
    mark = tmp_path / "mark"
    data = pickle.dumps({b"data": Payload(mark), b"labels": [0, 1]})
    root = tmp_path / "data"
    for number in range(1, 6):
        write_file(root / folder / f"data_batch_{number}", data)
    write_file(root / folder / "test_batch", data)
    with pytest.raises(InputError, match="--set source=cifar10 --set source.root="):
        ImageFolder(str(root)).info()
    with pytest.raises(InputError, match="cifar10"):
        recognize(str(root))
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists()


def test_a_file_instead_of_a_folder_is_refused_with_the_line_that_reads_it(tmp_path):
    file = write_file(tmp_path / "my images.zip")
    line = re.escape(f"is a file: --set source=archive --set source.path='{file}'")
    with pytest.raises(InputError, match=line):
        ImageFolder(str(file)).info()
    with pytest.raises(InputError, match="no folder"):
        ImageFolder(str(write_file(tmp_path / "notes.txt"))).info()


@pytest.mark.parametrize("folder", ["images", "."])
@pytest.mark.parametrize("table", ["labels.csv", "images/labels.tsv"])
def test_a_flat_folder_with_a_table_is_refused_with_the_line_that_reads_both(
    folder, table, tmp_path
):
    write_file(tmp_path / folder / "a.png", random_png())
    write_file(tmp_path / table)
    if folder == "." and table != "labels.csv":
        table = "labels.csv"
        write_file(tmp_path / table)
    line = re.escape(f"--set source=table --set source.path={tmp_path / table}")
    with pytest.raises(InputError, match=line):
        ImageFolder(str(tmp_path)).info()


def test_a_flat_folder_without_a_table_is_refused_with_both_remedies(tmp_path):
    write_file(tmp_path / "a.png", random_png())
    with pytest.raises(InputError, match=r"into a folder of its own, or write a CSV file"):
        ImageFolder(str(tmp_path)).info()


def test_other_files_beside_class_folders_do_not_matter(tmp_path):
    root = write_class_folders(tmp_path, {"cat": 1, "dog": 1})
    write_file(root / "labels.csv")
    write_file(root / "images.zip")
    write_file(root / "cat" / "table.parquet")
    assert ImageFolder(str(root)).info().class_names == ("cat", "dog")
