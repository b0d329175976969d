"""Reads every file of a store and names those that are not what was written."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from ray_defense.core.errors import DamageError, InputError, RunError
from ray_defense.core.files import file_hash
from ray_defense.core.progress import report_progress
from ray_defense.core.sealed import SEALED_SUFFIX, open_sealed, open_sealed_json
from ray_defense.store.artifacts import Store
from ray_defense.store.record import RECORD, SCRATCH, TIMING, is_hidden, recorded_files
from ray_defense.store.remote import local_directory

_ROW_SUFFIXES = (".json", ".error")  # of the rows of a sweep under way
_ROWS_FOLDER = "rows"
_ARTIFACT_DEPTH = 2  # folders above the files of an artifact: STAGE/KEY
_KEY = re.compile(r"[0-9a-f]{16}")
_NO_STAGES = ("truth", "ray-train")  # folders whose keys are those of artifacts elsewhere


@dataclass
class Verification:
    """What reading a store through gave."""

    num_artifacts: int = 0  # finished ones
    num_files: int = 0  # that were compared
    damages: list[str] = field(default_factory=list)  # one line for each damaged file


class StoreFiles(Protocol):
    """The files of a store, in a directory or at a URI; names are relative and use slashes."""

    def list_files(self) -> list[str]:
        """Returns the names of all files."""

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file."""

    def hash(self, name: str) -> str:
        """Returns the SHA-256 of a file in hexadecimal."""


@dataclass(frozen=True)
class _Folder:
    """A store in a directory of this machine."""

    root: Path

    def list_files(self) -> list[str]:
        names = []
        for folder, _, files in os.walk(self.root):
            for name in files:
                names.append((Path(folder) / name).relative_to(self.root).as_posix())
        return sorted(names)

    def read(self, name: str) -> bytes:
        return self._checked(name).read_bytes()

    def hash(self, name: str) -> str:
        return file_hash(self._checked(name))

    def _checked(self, name: str) -> Path:
        path = self.root / name
        if path.is_symlink() or not path.is_file():  # a FIFO would block for ever
            remove = self.root / (_artifact_of(name) or name)
            raise DamageError.of(path, "is no regular file", remove)
        return path


def verify_store(location: str | Path) -> Verification:
    """Reads every file of a store: finished artifacts, sealed truth, and work under way.

    A store at a URI is read there and in the directory in which it works on this machine.

    Args:
        location: A directory that is there, or a URI.

    Raises:
        InputError: If there is no store.
    """
    directory = local_directory(location)
    if directory is not None and not directory.is_dir():
        raise InputError(f"there is no store {str(location)!r}: name a directory or a URI")
    store = Store(location)
    result = Verification()
    _Verifier(_Folder(store.root), str(store.root), result).run()
    if store.remote is not None:
        _Verifier(store.remote, store.remote.uri, result).run()
    return result


class _Verifier:
    """Reads the files at one location."""

    def __init__(self, files: StoreFiles, root: str, result: Verification):
        self.files = files
        self.root = root
        self.result = result

    def run(self) -> None:
        names = self.files.list_files()
        by_artifact: dict[str, list[str]] = {}
        others = []
        for name in names:
            artifact = _artifact_of(name)
            if artifact is None:
                others.append(name)
            else:
                by_artifact.setdefault(artifact, []).append(name)
        num_done = 0
        for artifact, members in by_artifact.items():
            self._verify_artifact(artifact, members)
            num_done += len(members)
            report_progress("verify", num_done, len(names))
        for name in others:
            self._verify_sealed(name)
        report_progress("verify", len(names), len(names))

    def _verify_artifact(self, artifact: str, members: list[str]) -> None:
        stage, key = artifact.split("/")
        folder = f"{self.root}/{artifact}"
        record = f"{artifact}/{RECORD}"
        if record not in members:
            self.result.damages.append(_line(folder, f"has no {RECORD}", folder))
            return
        self.result.num_artifacts += 1
        try:
            hashes = recorded_files(
                self.files.read(record), stage, key, file=f"{folder}/{RECORD}", remove=folder
            )
        except RunError as error:
            self.result.damages.append(str(error))
            return
        self.result.num_files += 1
        present = {name.removeprefix(f"{artifact}/") for name in members} - {RECORD}
        for name in sorted(present | hashes.keys() | {TIMING}):
            if is_hidden(name):
                continue
            damage = self._damage(artifact, name, hashes)
            if damage is not None:
                self.result.damages.append(damage)

    def _damage(self, artifact: str, name: str, hashes: dict[str, str]) -> str | None:
        """Returns what is wrong with a file of an artifact, as one line."""
        folder = f"{self.root}/{artifact}"
        file = f"{folder}/{name}"
        self.result.num_files += 1
        try:
            if name == TIMING:
                open_sealed_json(self.files.read(f"{artifact}/{name}"), file, folder)
            elif name not in hashes:
                return _line(file, "is not in the record of its artifact", folder)
            elif self.files.hash(f"{artifact}/{name}") != hashes[name]:
                return _line(file, "is damaged", folder)
        except RunError as error:
            return str(error)
        return None

    def _verify_sealed(self, name: str) -> None:
        """Reads a sealed file beside the finished artifacts; other files have no digest."""
        path = PurePosixPath(name)
        file = f"{self.root}/{name}"
        is_row = SCRATCH in path.parts and path.parent.name == _ROWS_FOLDER
        try:
            if path.suffix == SEALED_SUFFIX:
                self.result.num_files += 1
                open_sealed(self.files.read(name), file, file)
            elif is_row and path.suffix in _ROW_SUFFIXES and not is_hidden(name):
                self.result.num_files += 1
                open_sealed_json(self.files.read(name), file, file)
        except RunError as error:
            self.result.damages.append(str(error))


def _artifact_of(name: str) -> str | None:
    """Returns the folder of the artifact that a file lies in, `STAGE/KEY`; None for other files."""
    parts = PurePosixPath(name).parts
    if len(parts) <= _ARTIFACT_DEPTH or parts[0] in _NO_STAGES or not _KEY.fullmatch(parts[1]):
        return None
    return f"{parts[0]}/{parts[1]}"


def _line(file: str, damage: str, remove: str) -> str:
    return str(DamageError.of(file, damage, remove))
