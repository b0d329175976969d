"""Data that a Python program holds, written once to a folder where every process can read it."""

import filecmp
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import PART_SUFFIX
from ray_defense.data.rows.column_names import IMAGE_NAMES, LABEL_NAMES, choose_column
from ray_defense.data.sources.arrays import Arrays
from ray_defense.data.sources.memory_images import as_array, encode_picture, plain_label
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Source

_ROWS_OF_A_GROUP = 500
_TEST_NAMES = ("test", "validation", "valid", "val")
_TAKEN = (
    "give (images, labels), a dictionary of arrays, a torch.utils.data.Dataset, a "
    "datasets.Dataset, or a dictionary of two of these, train and test"
)


def source_of(data: Any, folder: Path) -> Source:
    """Returns a source of data in memory, which is written to a folder.

    The same data give the same file, which then is not written again.

    Args:
        data: A pair of arrays, images [N, H, W] or [N, H, W, 3] or [N, 3, H, W] and labels [N]; a
            dictionary of arrays, named as in an .npz file (see `Arrays`); a
            `torch.utils.data.Dataset` of pairs of image and label; a `datasets.Dataset` or
            `datasets.DatasetDict`; or a dictionary of datasets, `train` and `test`.
        folder: A folder for the file, which should hold nothing else; it need not exist.

    Returns:
        An `Arrays` or a `Parquet` source, whose `size` is the default.

    Raises:
        InputError: If the data are of another kind, or an image or a label in them is.
        RunError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(data, tuple | list) and len(data) == 2:
            data = {"images": data[0], "labels": data[1]}
        arrays = _arrays_in(data)
        if arrays is not None:
            _write_once(folder / "images.npz", partial(_write_npz, arrays))
            return Arrays(str(folder / "images.npz"))
        splits = _splits_in(data)
        for split, dataset in splits.items():
            _write_split(folder / f"{split}.parquet", dataset)
        if "test" not in splits:
            (folder / "test.parquet").unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot write the data to {str(folder)!r}: {error.strerror}; name another folder"
        ) from None
    return Parquet(str(folder))


def _arrays_in(data: Any) -> dict[str, np.ndarray] | None:
    """Returns a dictionary of arrays, or None if the data are none."""
    if not isinstance(data, Mapping):
        return None
    arrays = {}
    for name, value in data.items():
        if isinstance(value, list):
            value = np.array(value)
        array = as_array(value)
        if array is None:
            return None
        if array.dtype.hasobject:
            raise InputError(f"the array {name!r} holds objects: give numbers or texts")
        arrays[str(name)] = array
    return arrays


def _splits_in(data: Any) -> dict[str, Any]:
    """Returns the datasets by split, `train` and perhaps `test`."""
    if not isinstance(data, Mapping):
        splits = {"train": data}
    elif "train" in data:
        splits = {"train": data["train"]}
        for name in _TEST_NAMES:
            if name in data:
                splits["test"] = data[name]
                break
    else:
        names = ", ".join(repr(str(name)) for name in list(data)[:5])
        raise InputError(f"a dictionary with {names} has no training set: {_TAKEN}")
    for dataset in splits.values():
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(f"data of type {type(dataset).__name__} are not read: {_TAKEN}")
    return splits


def _write_split(file: Path, dataset: Any) -> None:
    """Writes one dataset as a Parquet file with the columns image and label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = getattr(dataset, "column_names", None)
    class_names = getattr(dataset, "classes", None)
    image: int | str = 0  # of a pair
    label: int | str = 1
    if columns is not None:
        origin = "the dataset"
        image = choose_column(columns, "", IMAGE_NAMES, option="the column", origin=origin)
        label = choose_column(columns, "", LABEL_NAMES, option="the column", origin=origin)
        class_names = getattr(getattr(dataset, "features", {}).get(label), "names", None)
    first = plain_label(_item(dataset, 0)[label], 0) if len(dataset) else 0
    label_type = pa.string() if isinstance(first, str) else pa.int64()
    schema = pa.schema({"image": pa.binary(), "label": label_type})
    if class_names:
        schema = schema.with_metadata({"classes": json.dumps([str(name) for name in class_names])})

    def write_rows(path: Path) -> None:
        with pq.ParquetWriter(path, schema, compression="none") as writer:
            for images, labels in _groups(dataset, image, label):
                try:
                    table = pa.table([images, labels], schema)
                except (pa.ArrowInvalid, pa.ArrowTypeError):
                    raise InputError(
                        "some labels are numbers and some are names: give labels of one kind"
                    ) from None
                writer.write_table(table)

    _write_once(file, write_rows)


def _groups(dataset: Any, image: Any, label: Any) -> Iterator[tuple[list[bytes], list[Any]]]:
    """Yields the encoded images and the labels of some rows at a time."""
    for low in range(0, len(dataset), _ROWS_OF_A_GROUP):
        images = []
        labels = []
        for index in range(low, min(low + _ROWS_OF_A_GROUP, len(dataset))):
            item = _item(dataset, index)
            images.append(encode_picture(item[image], index))
            labels.append(plain_label(item[label], index))
        yield images, labels


def _item(dataset: Any, index: int) -> Any:
    item = dataset[index]
    is_pair = isinstance(item, tuple | list) and len(item) >= 2
    if not is_pair and not isinstance(item, Mapping):
        raise InputError(
            f"item {index} of the dataset is of type {type(item).__name__}, and no pair of image "
            f"and label: {_TAKEN}"
        )
    return item


def _write_npz(arrays: Mapping[str, np.ndarray], file: Path) -> None:
    """Writes arrays as `np.savez` does, whatever their names are."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of a fixed date
            with archive.open(member, "w", force_zip64=True) as opened:
                write_array(opened, array, allow_pickle=False)


def _write_once(file: Path, write: Callable[[Path], None]) -> None:
    """Writes a file aside and moves it into place, unless the same bytes are there already."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        with open(aside, "xb"):
            pass
        write(aside)
        if not file.is_file() or not filecmp.cmp(aside, file, shallow=False):
            os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
