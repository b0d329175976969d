"""The store: `<root>/<stage>/<key>/` holds what a stage made, whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.core.config import fingerprint, to_plain
from ray_defense.core.errors import DamageError, InputError, RunError
from ray_defense.core.files import file_hash, remove_parts, sync_directory, write_bytes
from ray_defense.core.sealed import write_sealed_json
from ray_defense.core.versions import installed_versions
from ray_defense.store.checked_files import hashes_of
from ray_defense.store.locks import held_lock
from ray_defense.store.record import (
    RECORD,
    SCRATCH,
    TIMING,
    is_hidden,
    read_timing,
    recorded_files,
    write_record,
)
from ray_defense.store.remote import connect, local_directory, working_directory
from ray_defense.store.written_files import check_written


@dataclass(frozen=True)
class Artifact:
    """The place of one stage's result, made or not; plain data that travels to workers."""

    stage: str
    key: str  # fingerprint of the stage, its version, its configuration and its inputs
    path: Path  # where the finished artifact stands
    config: dict[str, Any]  # plain data
    inputs: dict[str, str]  # role -> key

    @property
    def work(self) -> Path:
        """The directory in which the artifact is made; it survives a kill, so the stage resumes."""
        return self.path.with_name(self.path.name + ".work")

    @property
    def scratch(self) -> Path:
        """The part of `work` that is not published: checkpoints and progress."""
        return self.work / SCRATCH

    @property
    def exists(self) -> bool:
        """Whether the artifact is finished on this machine."""
        return (self.path / RECORD).is_file()

    @property
    def seconds(self) -> float:
        """How long making the artifact took, in seconds, without what a kill undid."""
        seconds: float = read_timing(self.path)["seconds"]
        return seconds

    @property
    def versions(self) -> dict[str, str]:
        """What was installed when the artifact was made, name -> version."""
        versions: dict[str, str] = read_timing(self.path)["versions"]
        return versions

    @property
    def checkpoint_bytes(self) -> int | None:
        """Bytes of the last checkpoint of the training that made it; None for other artifacts."""
        size: int | None = read_timing(self.path).get("checkpoint_bytes")
        return size

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file of the finished artifact, by relative path."""
        return hashes_of(self.path)

    def has_file(self, name: str) -> bool:
        """Returns whether the finished artifact has a file, as its record says."""
        return name in self.hashes

    def publish(self, seconds: float, checkpoint_bytes: int | None = None) -> None:
        """Turns `work` into the finished artifact: content hashes, then the record, then a rename.

        Args:
            seconds: How long making it took.
            checkpoint_bytes: The size of the last checkpoint of the training that made it.

        Raises:
            DamageError: If a file has changed since it was written, or is a link; or if something
                without a record stands where the artifact should.
        """
        if self.exists:
            return
        self.check_free()
        remove_parts(self.work)
        hashes = {}
        for file in sorted(self.work.rglob("*")):
            name = file.relative_to(self.work).as_posix()
            if self.scratch in file.parents or is_hidden(name):
                continue
            if file.is_symlink():
                raise DamageError.of(file, "is a link", self.work)
            if file.is_file() and name not in (RECORD, TIMING):
                hashes[name] = file_hash(file)
                check_written(self.work, name, hashes[name])
        timing: dict[str, Any] = {"seconds": round(seconds, 3), "versions": installed_versions()}
        if checkpoint_bytes is not None:
            timing["checkpoint_bytes"] = checkpoint_bytes
        write_sealed_json(self.work / TIMING, timing)
        described = {
            "stage": self.stage,
            "key": self.key,
            "config": self.config,
            "inputs": self.inputs,
        }
        write_record(self.work, described, hashes)
        # As late as this: a full disk above costs no checkpoint.
        shutil.rmtree(self.scratch, ignore_errors=True)
        sync_directory(self.work)
        os.replace(self.work, self.path)
        sync_directory(self.path.parent)

    def check_free(self) -> None:
        """Raises DamageError if something that is no finished artifact stands in its place."""
        if not self.exists and os.path.lexists(self.path):
            raise DamageError.of(self.path, f"has no {RECORD}", self.path)


def store_directory(location: str | Path) -> Path:
    """Returns the directory in which a store works on this machine.

    Args:
        location: A directory, or a URI; a store at a URI works in the user's cache.
    """
    return local_directory(location) or working_directory(str(location))


class Store:
    """A directory of artifacts: caching, resuming and sweeping are this one mechanism.

    A store at a URI works in a directory of this machine. What is finished there is sent to the
    URI, and fetched from it where it is missing.
    """

    def __init__(self, location: str | Path):
        """Opens a store.

        Args:
            location: A directory, which is created, or a URI of a file system that pyarrow knows.

        Raises:
            InputError: If the store cannot be created or reached.
        """
        self.root = store_directory(location)
        self.remote = None
        if local_directory(location) is None:
            self.remote = connect(str(location))
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"the store {self.root} is a file: name a directory")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the store {self.root}: {error.strerror}") from error

    def __str__(self) -> str:
        """Returns the location of the store as messages may name it, without credentials."""
        return str(self.root) if self.remote is None else self.remote.uri

    def locate(
        self, stage: str, version: int, config: Any, inputs: Mapping[str, Artifact]
    ) -> Artifact:
        """Returns the place of a stage's result, made or not.

        Args:
            stage: The name of the stage.
            version: Of the stage's code; it changes when the code changes the result.
            config: What else the result depends on, as dataclasses or plain data.
            inputs: The artifacts the result is made from, by their role.
        """
        plain = to_plain(config)
        keys = {role: artifact.key for role, artifact in inputs.items()}
        identity = {"stage": stage, "version": version, "config": plain, "inputs": keys}
        key = fingerprint(identity)
        return Artifact(
            stage=stage, key=key, path=self.root / stage / key, config=plain, inputs=keys
        )

    @contextlib.contextmanager
    def claim(self, artifacts: Sequence[Artifact]) -> Iterator[list[Artifact]]:
        """Holds the locks of some artifacts for the body.

        Artifacts that are finished only at the store's URI are fetched before the body; those that
        are finished only on this machine are sent after it.

        Args:
            artifacts: The artifacts to claim.

        Yields:
            Those of them that are still to be made, with their `work` directories ready.

        Raises:
            DamageError: If something that is no finished artifact stands in the place of one, or
                what is fetched is damaged.
        """
        with contextlib.ExitStack() as locks:
            for artifact in sorted(artifacts, key=lambda artifact: (artifact.stage, artifact.key)):
                _make_folder(artifact.path.parent)
                lock = artifact.path.with_name(artifact.key + ".lock")
                locks.enter_context(held_lock(lock, artifact.stage))
            sent = self._sent_keys(artifacts)
            for artifact in artifacts:
                if artifact.key in sent and not artifact.exists:
                    self._fetch(artifact)
            missing = [artifact for artifact in artifacts if not artifact.exists]
            for artifact in missing:
                artifact.check_free()
                artifact.scratch.mkdir(parents=True, exist_ok=True)
            unsent = [artifact for artifact in artifacts if artifact.key not in sent]
            try:
                yield missing
            except BaseException:
                with contextlib.suppress(RunError):  # what ended the body is what matters
                    self._send(unsent)
                raise
            self._send(unsent)

    def finished_keys(self, artifacts: Iterable[Artifact]) -> set[str]:
        """Returns the keys of the artifacts that are finished, here or at the store's URI."""
        artifacts = list(artifacts)
        here = {artifact.key for artifact in artifacts if artifact.exists}
        elsewhere = [artifact for artifact in artifacts if artifact.key not in here]
        return here | self._sent_keys(elsewhere)

    def settled_keys(self, artifacts: Iterable[Artifact]) -> set[str]:
        """Returns the keys of the artifacts finished here and, if there is one, at the URI."""
        here = [artifact for artifact in artifacts if artifact.exists]
        if self.remote is None:
            return {artifact.key for artifact in here}
        return self._sent_keys(here)

    def write_file(self, name: str, data: bytes, mode: int = 0o666) -> None:
        """Writes a file beside the artifacts, also at the URI: a result, a sealed truth.

        Args:
            name: The path of the file, relative to the root.
            data: Its content.
            mode: Its permissions on this machine, before the umask.
        """
        write_bytes(self.root / name, data, mode)
        if self.remote is not None:
            self.remote.write(name, data)

    def read_file(self, name: str) -> bytes | None:
        """Returns what `write_file` wrote, or None if there is no such file."""
        if (self.root / name).is_file():
            return (self.root / name).read_bytes()
        if self.remote is not None and self.remote.existing([name]):
            return self.remote.read(name)
        return None

    def check_writable(self) -> None:
        """Raises InputError if the store is at a URI at which nothing can be written."""
        if self.remote is not None:
            self.remote.check_writable()

    def _sent_keys(self, artifacts: Sequence[Artifact]) -> set[str]:
        """Returns the keys of the artifacts that are finished at the store's URI."""
        if self.remote is None or not artifacts:
            return set()
        keys = {}
        for artifact in artifacts:
            keys[f"{artifact.stage}/{artifact.key}/{RECORD}"] = artifact.key
        return {keys[name] for name in self.remote.existing(list(keys))}

    def _send(self, artifacts: Sequence[Artifact]) -> None:
        """Copies the finished ones of the artifacts to the store's URI, their records last."""
        if self.remote is None:
            return
        for artifact in artifacts:
            if artifact.exists:
                files = [*artifact.hashes, TIMING, RECORD]
                self.remote.send(artifact.path, f"{artifact.stage}/{artifact.key}", files)

    def _fetch(self, artifact: Artifact) -> None:
        """Copies a finished artifact from the store's URI, whole or not at all.

        Raises:
            DamageError: If its record or a file is not what was written.
        """
        assert self.remote is not None
        artifact.check_free()
        name = f"{artifact.stage}/{artifact.key}"
        folder = f"{self.remote.uri}/{name}"
        aside = artifact.path.with_name(artifact.key + ".fetched")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        hashes = recorded_files(
            self.remote.read(f"{name}/{RECORD}"),
            artifact.stage,
            artifact.key,
            file=f"{folder}/{RECORD}",
            remove=folder,
        )
        self.remote.fetch(name, {**hashes, TIMING: None, RECORD: None}, aside)
        sync_directory(aside)
        os.replace(aside, artifact.path)
        sync_directory(artifact.path.parent)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DamageError.of(folder, "is no folder", folder) from None
