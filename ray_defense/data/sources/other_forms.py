"""Recognizes data that are no class folders, so that the refusal names the source that reads them.

Only names are looked at: what is in the files, the source that is named decides.
"""

import itertools
import os
import shlex
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_names import has_image_ending, holds_images
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.text import encodable, shortened

_NUM_LOOKED_AT = 1000  # entries of a folder
_SOURCE_OF_ENDING = {
    ".arrow": "saved_dataset",
    ".beton": "beton",
    ".parquet": "parquet",
    ".tar": "archive",
    ".tgz": "archive",
    ".gz": "archive",
    ".zip": "archive",
    ".npz": "arrays",
    ".npy": "arrays",
}
_TABLES = (".csv", ".tsv")
_PICKLED_CIFAR = {"data_batch_1": "cifar10", "batches.meta": "cifar10"}


def check_class_folders(path: Path) -> None:
    """Raises InputError, with the line that would work, if a path holds data in another form.

    Args:
        path: A file, or a folder that may hold class folders.

    Raises:
        OSError: If a folder cannot be listed.
    """
    if path.is_file():
        remedy = _remedy_of_file(path)
        if remedy is not None:
            raise InputError(f"{_shown(path)} is a file: {remedy}")
    if not path.is_dir():
        return
    folders = []
    files = []
    for entry in _first_entries(path):
        if entry.is_dir():
            folders.append(Path(entry.path))
        else:
            files.append(Path(entry.path))
    with_images = []
    for folder in folders:
        if holds_images(str(folder)):
            with_images.append(folder)
        if len(with_images) > 1:
            return
    table = _first_table([*files, *_files_in(with_images)])
    is_flat = any(has_image_ending(file.name) for file in files)
    if table is not None and (is_flat or _is_flat(with_images)):
        raise InputError(
            f"{_shown(path)} has a table {_shown(table.name)} and images that lie in no class "
            f"folders: {_line('table', table)} if the table has their labels"
        )
    for file in (*files, *_files_in(folders)):
        remedy = _remedy_of_file(file)
        # The batches of CIFAR have names like those of files without an ending.
        if remedy is not None and (not with_images or file.name in _PICKLED_CIFAR):
            raise InputError(f"{_shown(path)} has no folders of images: {remedy}")
    if is_flat and not with_images:
        raise InputError(
            f"images lie directly in {_shown(path)}: put those of each class into a folder of its "
            "own, or write a CSV file of their names and labels beside them for "
            f"{_line('table', path / 'labels.csv')}"
        )


def _remedy_of_file(file: Path) -> str | None:
    """Returns what to do with a file that holds a dataset, or None for another file."""
    if file.name in _PICKLED_CIFAR:
        return (
            f"{_shown(file.name)} is a pickled batch of CIFAR, which may hold code and is not "
            f"read: --set source={_PICKLED_CIFAR[file.name]} --set source.root="
            f"{shlex.quote(str(file.parent))} reads the binary archive there, or downloads it"
        )
    ending = file.suffix.lower()
    source = _SOURCE_OF_ENDING.get(ending)
    if source is None:
        return None
    path = file.parent if source in ("parquet", "saved_dataset") else file
    return f"{_line(source, path)} reads {_shown(file.name)}"


def _line(source: str, path: Path) -> str:
    return f"--set source={source} --set source.path={shlex.quote(encodable(str(path)))}"


def _first_table(files: list[Path]) -> Path | None:
    for file in files:
        if file.suffix.lower() in _TABLES:
            return file
    return None


def _is_flat(folders: list[Path]) -> bool:
    """Returns whether images lie directly in the one folder that holds images."""
    return any(has_image_ending(file.name) for file in _files_in(folders))


def _files_in(folders: list[Path]) -> list[Path]:
    files = []
    for folder in folders:
        for entry in _first_entries(folder):
            if not entry.is_dir():
                files.append(Path(entry.path))
    return files


def _first_entries(folder: Path) -> "list[os.DirEntry[str]]":
    """Returns the first entries of a folder that are no junk, by name."""
    with os.scandir(folder) as entries:
        first = list(itertools.islice(entries, _NUM_LOOKED_AT))
    kept = [entry for entry in first if not is_junk(entry.name)]
    return sorted(kept, key=lambda entry: entry.name)


def _shown(name: object) -> str:
    return repr(shortened(encodable(str(name)), 120))
