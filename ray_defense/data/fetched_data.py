"""Data at a URI (s3://, gs://, file:///): fetched once into the cache of this machine, then local.

A source reads single images in any order, again and again, which a remote file system is slow at.
"""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from ray_defense.core.cache import cache_folder
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources.junk import is_junk
from ray_defense.data.text import encodable, shortened
from ray_defense.store.remote import (
    RemoteFile,
    RemoteFolder,
    connect,
    local_directory,
    without_secrets,
)

_MAX_FILES = 2**22
_SPARED_BYTES = 2**30  # of the disk of the cache
_MAX_NAME_BYTES = 1000


@dataclass(frozen=True)
class FetchedData:
    """Where the data of a URI lie on this machine."""

    path: Path
    sentence: str  # for people; empty where nothing had to be fetched


def is_uri(data: str) -> bool:
    """Returns whether data are named by a URI and not by a path."""
    return "://" in data


def shown_uri(data: str) -> str:
    """Returns a URI as records and messages show it: without credentials and options."""
    return without_secrets(data)


def fetch_data(uri: str) -> FetchedData:
    """Returns where the data at a URI lie on this machine; they are fetched where they do not yet.

    The same files, by their names, sizes and times, are fetched once.

    Args:
        uri: Whatever `pyarrow.fs.FileSystem.from_uri` takes: a file or a folder.

    Raises:
        InputError: If there is nothing, it is more than the disk holds, or a name would lead out
            of the folder.
        RunError: If it cannot be fetched, or changes meanwhile.
    """
    local = local_directory(uri, what="data")
    if local is not None:
        return FetchedData(local, "")
    remote = connect(uri, what="data")
    shown = remote.uri
    is_file = remote.is_file()
    if is_file:
        remote = remote.parent()
    files = _listed(remote, Path(without_secrets(uri)).name if is_file else None, shown)
    num_bytes = sum(file.num_bytes for file in files)
    listing = [(file.name, file.num_bytes, file.modified_ns) for file in files]
    root = cache_folder().expanduser().resolve() / "data"
    folder = root / fingerprint({"uri": shown, "files": listing})
    if not folder.is_dir():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_space(root, num_bytes, shown)
        _fetch(remote, files, folder)
        if _listed(remote, files[0].name if is_file else None, shown) != files:
            shutil.rmtree(folder, ignore_errors=True)
            raise RunError(f"{shown} changed while it was fetched: run again")
    sentence = (
        f"{len(files)} files of {shown}, {num_bytes / 2**20:.1f} MiB, were fetched to "
        f"{str(folder)!r}; remove it when you are done."
    )
    return FetchedData(folder / files[0].name if is_file else folder, sentence)


def _listed(remote: RemoteFolder, only: str | None, shown: str) -> list[RemoteFile]:
    """Returns the files to fetch, by name, or the only one.

    Raises:
        InputError: If there is none, there are too many, or one has a name that leads elsewhere.
    """
    files = []
    for file in remote.list_states(only):
        parts = file.name.split("/")
        if any(is_junk(part) for part in parts if part not in ("", ".", "..")):
            continue
        is_plain = all(part not in ("", ".", "..") for part in parts) and "\0" not in file.name
        if not is_plain or len(os.fsencode(file.name)) > _MAX_NAME_BYTES:
            raise InputError(
                f"{shown} has a file {shortened(encodable(file.name), 100)!r}, whose name is no "
                "path below it: rename it"
            )
        files.append(file)
        if len(files) > _MAX_FILES:
            raise InputError(f"{shown} has more than {_MAX_FILES} files: pack them into archives")
    if not files:
        raise InputError(f"there is nothing at {shown}: check the URI")
    return files


def _check_space(root: Path, num_bytes: int, shown: str) -> None:
    free = shutil.disk_usage(root).free
    if num_bytes > free - _SPARED_BYTES:
        raise InputError(
            f"{shown} has {num_bytes / 2**30:.1f} GiB, and the cache {str(root)!r} has "
            f"{free / 2**30:.1f} GiB free: set RAY_DEFENSE_CACHE to a folder on a larger disk"
        )


def _fetch(remote: RemoteFolder, files: list[RemoteFile], folder: Path) -> None:
    """Fetches files into a folder, whole or not at all."""
    part = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir(mode=0o700)
    try:
        remote.fetch("", {file.name: None for file in files}, part)
        for file in files:
            path = part / file.name
            if path.stat().st_size != file.num_bytes:
                raise RunError(f"{remote.uri}/{file.name} changed while it was fetched: run again")
            # The time enters the identity of what is made of a file.
            os.utime(path, ns=(file.modified_ns, file.modified_ns))
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was as quick
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
