"""Which source reads the data at a path, by names and first bytes alone."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.data.fetched_data import FetchedData, fetch_data, is_uri
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.archive_images import ArchiveImages
from ray_defense.data.sources.archive_members import ENDINGS as ARCHIVE_ENDINGS
from ray_defense.data.sources.array_files import array_names
from ray_defense.data.sources.arrays import ENDINGS as ARRAY_ENDINGS
from ray_defense.data.sources.arrays import Arrays
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.backdoorbench_files import is_record
from ray_defense.data.sources.beton import Beton
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import DescribedSource, Source
from ray_defense.data.sources.saved_dataset import SavedDataset
from ray_defense.data.sources.saved_dataset_files import is_saved_dataset
from ray_defense.data.sources.split_files import holds_files
from ray_defense.data.sources.table import Table
from ray_defense.data.sources.table_rows import ENDINGS as TABLE_ENDINGS
from ray_defense.data.sources.table_rows import tables_in
from ray_defense.data.text import encodable, shortened

_SPLIT_WORDS = (
    *("train", "training", "test", "testing", "validation", "valid", "val"),
    *("images", "img", "imgs", "image", "data"),
)
_PACKED = "unpack it and give the folder"
# What is not read, and what to do instead, by the ending of a file.
_REMEDIES = {
    ".arrow": "it is no Arrow stream: write the data with save_to_disk() or to_parquet()",
    ".pkl": "a pickle can run any code when it is opened: save the images as .npz or in folders",
    ".tfrecord": "TFRecords are not read: write the images as .npz, Parquet or in folders",
    ".h5": "HDF5 is not read: write the images as .npz, Parquet or in folders",
    ".mat": "MATLAB files are not read: write the images as .npz, Parquet or in folders",
    ".json": "write the paths and labels as a .csv file and give that",
    ".7z": _PACKED,
    ".rar": _PACKED,
    ".bz2": _PACKED,
    ".xz": _PACKED,
    ".zst": _PACKED,
}
_SAME_REMEDY = {
    ".pickle": ".pkl",
    ".pt": ".pkl",
    ".pth": ".pkl",
    ".hdf5": ".h5",
    ".tfrecords": ".tfrecord",
    ".jsonl": ".json",
}
_WAYS_IN = (
    "give a folder with one folder of images for each class, a .csv with paths and labels, "
    "a .tar or .zip, an .npz with images and labels, Parquet or .beton files, or what "
    "save_to_disk() wrote"
)
_ARCHIVE_STARTS = (b"PK\3\4", b"\x1f\x8b")


_NEED_NO_PATH = ("cifar10", "cifar100")
_NO_SETTINGS: Mapping[str, Any] = {}
# What a source calls its columns, where it has another name for them.
_FIELDS = {
    "table": {"image_column": "path_column"},
    "arrays": {"image_column": "image_array", "label_column": "label_array"},
}


@dataclass(frozen=True)
class Recognized:
    """The source of some data."""

    source: Source
    sentences: tuple[str, ...]  # what was recognized, and what is left out, for people


def recognize(path: str, settings: Mapping[str, Any] = _NO_SETTINGS) -> Recognized:
    """Returns the source that reads the data at a path.

    Args:
        path: A file or a folder, or the URI of one, which is fetched (see `fetch_data`).
        settings: Values of fields of the source that is found, by name. `image_column` and
            `label_column` also name what a table and arrays have in the place of columns.

    Raises:
        InputError: If nothing reads it; the message says what would, where that is known. Or if the
            source has no such field.
    """
    fetched = FetchedData(Path(os.path.abspath(os.path.expanduser(path))), "")
    if is_uri(path):
        fetched = fetch_data(path)
    where = fetched.path
    if not path or not where.exists():
        raise InputError(f"no file or folder {_shown(where if path else path)}: check the path")
    if where.is_dir():
        source, sentence = _recognize_folder(where)
    elif where.is_file():
        source, sentence = _recognize_file(where)
    else:
        raise InputError(f"{_shown(where)} is no file and no folder: {_WAYS_IN}")
    for name, value in settings.items():
        field = _FIELDS.get(source.name, {}).get(name, name)
        if not hasattr(source, field):
            raise InputError(f"{_shown(where)} is {sentence}, which has no {name}: leave it out")
        if field == "clean":
            source = override(source, field, _named_or_recognized(value))
        else:
            source = override(source, field, value)
    info = source.info()
    sentences = [f"{_shown(where)} is {sentence}, {info.num_classes} classes."]
    if fetched.sentence:
        sentences.insert(0, fetched.sentence)
    if isinstance(source, DescribedSource):
        description = source.describe()
        sentences.extend(description.recognized)
        sentences.extend(description.left_out)
    return Recognized(source, tuple(sentences))


def _named_or_recognized(data: str) -> Source:
    """Returns the source that a word names, if it needs no path, or that reads the data there."""
    if data in _NEED_NO_PATH:
        source: Source = SOURCES[data]()
        return source
    return recognize(data).source


def _recognize_file(file: Path) -> tuple[Source, str]:
    ending = file.suffix.lower()
    with open(file, "rb") as opened:
        start = opened.read(8)
    if ending == ".parquet" or start.startswith(b"PAR1"):
        return Parquet(str(file)), "a Parquet file"
    if ending == ".beton":
        return Beton(str(file)), "a file of FFCV"
    if ending == ".arrow" and not start.startswith(b"ARROW1"):
        return SavedDataset(str(file)), "an Arrow file"
    if ending in TABLE_ENDINGS:
        return Table(str(file)), "a table of image files"
    if ending in ARRAY_ENDINGS or start.startswith(b"\x93NUMPY"):
        return _arrays(file), "arrays of images"
    if file.name.lower().endswith(ARCHIVE_ENDINGS) or start.startswith(_ARCHIVE_STARTS):
        return ArchiveImages(str(file)), "an archive of images"
    ending = _SAME_REMEDY.get(ending, ending)
    raise InputError(f"{_shown(file)} is not read: {_REMEDIES.get(ending, _WAYS_IN)}")


def _arrays(file: Path) -> Source:
    """Returns the source of an .npz file, or of the folder of an .npy file."""
    return Arrays(str(file if file.suffix.lower() == ".npz" else file.parent))


def _recognize_folder(folder: Path) -> tuple[Source, str]:
    names = sorted(os.listdir(folder))
    _refuse_known_layouts(folder, names)
    if is_record(folder):
        return BackdoorBench(str(folder)), "a record of BackdoorBench"
    if is_saved_dataset(folder):
        return SavedDataset(str(folder)), "a dataset that save_to_disk() wrote"
    if holds_files(folder, (".parquet",)):
        return Parquet(str(folder)), "a folder of Parquet files"
    if holds_files(folder, (".beton",)) and not _has_class_folders(folder):
        return Beton(str(folder)), "a folder of FFCV files"
    if holds_files(folder, ARCHIVE_ENDINGS) and not _has_class_folders(folder):
        return ArchiveImages(str(folder)), "a folder of archives"
    if len(array_names(folder)) > 1 and not _has_class_folders(folder):
        return Arrays(str(folder)), "a folder of arrays"
    tables = tables_in(folder)
    if len(tables) == 1 and not _has_class_folders(folder):
        return Table(str(folder / tables[0])), f"a folder of images with the table {tables[0]!r}"
    if len(tables) > 1 and not _has_class_folders(folder):
        raise InputError(
            f"{_shown(folder)} has {len(tables)} tables: give the one that names the training "
            f"images, such as {_shown(folder / tables[0])}"
        )
    return ImageFolder(str(folder)), "a folder with one folder of images for each class"


def _refuse_known_layouts(folder: Path, names: list[str]) -> None:
    """Raises InputError for what other programs write and no source reads."""
    if "data_batch_1" in names or {"train", "test", "meta"} <= set(names):
        if not (folder / "train").is_dir():
            raise InputError(
                f"{_shown(folder)} holds the pickles of CIFAR, which are never opened: run "
                "cifar10 with the binary archive (cifar-10-binary.tar.gz) instead"
            )


def _has_class_folders(folder: Path) -> bool:
    """Returns whether there are two folders, in it or in one for the training set, with files."""
    folders = _folders_in(folder)
    classes = [name for name in folders if name.lower() not in _SPLIT_WORDS]
    if len(classes) >= 2:
        return True
    for name in folders:
        if name.lower() in _SPLIT_WORDS and len(_folders_in(folder / name)) >= 2:
            return True
    return False


def _folders_in(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if not name.startswith("."))


def _shown(path: object) -> str:
    return repr(shortened(encodable(str(path))))
