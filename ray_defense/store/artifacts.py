"""The store: `<root>/<stage>/<key>/` holds what a stage made from its configuration and inputs, whole or not at all."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ray_defense.core import progress
from ray_defense.core.config import fingerprint, to_plain
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import file_hash, read_json, sync_directory, write_bytes, write_json
from ray_defense.core.versions import versions
from ray_defense.store.remote import connect, local_directory, working_directory

RECORD = "config.json"  # written last: an artifact with a record is complete
TIMING = "timing.json"  # never hashed: two equal runs differ in it
SCRATCH = "scratch"  # checkpoints and progress of a stage under way; gone when it is published


@dataclass(frozen=True)
class Artifact:
    """The place of one stage's result, made or yet to be made; plain data, so it travels to workers."""

    stage: str
    key: str  # fingerprint of the stage, its version, configuration and inputs
    path: Path  # where the finished artifact stands
    config: dict[str, Any]  # plain data
    inputs: dict[str, str]  # role -> key

    @property
    def work(self) -> Path:
        """The directory in which the artifact is made; it survives a kill, so the stage resumes there."""
        return self.path.with_name(self.path.name + ".work")

    @property
    def scratch(self) -> Path:
        """The part of `work` that is not published: checkpoints and progress."""
        return self.work / SCRATCH

    @property
    def exists(self) -> bool:
        """Whether the artifact is finished."""
        return (self.path / RECORD).is_file()

    @property
    def seconds(self) -> float:
        """How long making the artifact took, in seconds, resumptions not counted."""
        return read_json(self.path / TIMING)["seconds"]

    def publish(self, seconds: float) -> None:
        """Turns `work` into the finished artifact: content hashes, record, rename."""
        if self.exists:
            return
        for aside in self.work.rglob(".*"):
            aside.unlink()  # what a kill left half written
        files = sorted(file for file in self.work.rglob("*") if file.is_file() and file.name not in (RECORD, TIMING))
        files = [file for file in files if self.scratch not in file.parents]
        hashes = {str(file.relative_to(self.work)): file_hash(file) for file in files}
        write_json(self.work / TIMING, {"seconds": round(seconds, 3), "versions": versions()})
        record = {"stage": self.stage, "key": self.key, "config": self.config, "inputs": self.inputs, "files": hashes}
        write_json(self.work / RECORD, record)
        shutil.rmtree(self.scratch, ignore_errors=True)  # as late as this: a full disk above costs no checkpoint
        sync_directory(self.work)
        os.replace(self.work, self.path)
        sync_directory(self.path.parent)

    @property
    def versions(self) -> dict[str, str]:
        """What was installed when the artifact was made, name -> version."""
        return read_json(self.path / TIMING)["versions"]

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file of the finished artifact, by relative path."""
        return read_json(self.path / RECORD)["files"]


def directory(place: str | Path) -> Path:
    """Returns where a store works: the directory that `place` is, or the working directory of a URI on this machine."""
    return local_directory(place) or working_directory(str(place))


class Store:
    """A directory of artifacts: caching, resuming and sweeping are its one mechanism.

    A store at a URI works in a directory of its own; what is finished there is sent to the URI, and fetched from it.
    """

    def __init__(self, place: str | Path):
        """Opens the store at a path or a URI that pyarrow takes; raises Refused where it cannot be made or reached."""
        self.root = directory(place)
        self.remote = connect(str(place)) if local_directory(place) is None else None
        if self.root.exists() and not self.root.is_dir():
            raise Refused(f"the store {self.root} is a file: name a directory")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"cannot make the store {self.root}: {error.strerror}") from error

    def __str__(self) -> str:
        """Returns where it is kept, as messages may name it."""
        return str(self.root) if self.remote is None else self.remote.uri

    def place(self, stage: str, version: int, config: Any, inputs: Mapping[str, Artifact]) -> Artifact:
        """Returns where the result of `stage` stands; `version` changes when the stage's code changes its result."""
        plain, keys = to_plain(config), {role: artifact.key for role, artifact in inputs.items()}
        key = fingerprint({"stage": stage, "version": version, "config": plain, "inputs": keys})
        return Artifact(stage, key, self.root / stage / key, plain, keys)

    @contextlib.contextmanager
    def claim(self, *artifacts: Artifact) -> Iterator[list[Artifact]]:
        """Holds the locks of `artifacts` and yields those still to be made, their `work` directories ready.

        Those that are finished only at the store's URI are fetched first; those that are finished only here are sent last.
        """
        with contextlib.ExitStack() as locks:
            for artifact in sorted(artifacts, key=lambda a: (a.stage, a.key)):
                artifact.path.parent.mkdir(parents=True, exist_ok=True)
                lock = locks.enter_context(open(artifact.path.with_name(artifact.key + ".lock"), "w"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # a second run of the same stage waits here, then finds it done
                    progress.tell(f"{artifact.stage}: waiting for another run of it", 0, 1)
                    fcntl.flock(lock, fcntl.LOCK_EX)
            sent = self._sent(artifacts)
            for artifact in artifacts:
                if artifact.key in sent and not artifact.exists:
                    self._fetch(artifact)
            missing = [artifact for artifact in artifacts if not artifact.exists]
            for artifact in missing:
                artifact.scratch.mkdir(parents=True, exist_ok=True)
            unsent = [artifact for artifact in artifacts if artifact.key not in sent]
            try:
                yield missing
            except BaseException:
                with contextlib.suppress(Failed):  # what ended the body is what to tell
                    self._send(unsent)
                raise
            self._send(unsent)

    def held(self, artifacts: Iterable[Artifact]) -> set[str]:
        """Returns the keys of those of `artifacts` that are finished, here or at the store's URI."""
        artifacts = list(artifacts)
        here = {artifact.key for artifact in artifacts if artifact.exists}
        return here | self._sent([artifact for artifact in artifacts if artifact.key not in here])

    def keep(self, name: str, data: bytes, mode: int = 0o666) -> None:
        """Writes a file apart from the artifacts (a result, a sealed truth); `name` is relative, `mode` before the umask."""
        write_bytes(self.root / name, data, mode)
        if self.remote is not None:
            self.remote.write(name, data)

    def kept(self, name: str) -> bytes | None:
        """Returns what `keep` wrote, or None where there is nothing."""
        if (self.root / name).is_file():
            return (self.root / name).read_bytes()
        return self.remote.read(name) if self.remote is not None and self.remote.found([name]) else None

    def check_writable(self) -> None:
        """Raises Refused where the store is at a URI at which nothing can be written."""
        if self.remote is not None:
            self.remote.check_writable()

    def _sent(self, artifacts: Sequence[Artifact]) -> set[str]:
        """Returns the keys of those that are finished at the store's URI."""
        if self.remote is None or not artifacts:
            return set()
        records = {f"{artifact.stage}/{artifact.key}/{RECORD}": artifact.key for artifact in artifacts}
        return {records[name] for name in self.remote.found(list(records))}

    def _send(self, artifacts: Sequence[Artifact]) -> None:
        """Copies those of `artifacts` that are finished to the store's URI, each one's record last."""
        for artifact in artifacts:
            if self.remote is not None and artifact.exists:
                self.remote.send(artifact.path, f"{artifact.stage}/{artifact.key}", [*artifact.hashes, TIMING, RECORD])

    def _fetch(self, artifact: Artifact) -> None:
        """Copies a finished artifact from the store's URI, whole or not at all; raises Failed for one that was changed."""
        name, aside = f"{artifact.stage}/{artifact.key}", artifact.path.with_name(artifact.key + ".fetched")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        hashes = _recorded(self.remote.read(f"{name}/{RECORD}"), artifact)
        if hashes is None:
            raise Failed(f"{self.remote.uri}/{name}/{RECORD} is no record of {name}: delete {name} there and run again")
        self.remote.fetch(name, hashes | {TIMING: None, RECORD: None}, aside)
        sync_directory(aside)
        os.replace(aside, artifact.path)
        sync_directory(artifact.path.parent)


def _recorded(data: bytes, artifact: Artifact) -> dict[str, str] | None:
    """Returns the hashes in what should be the record of `artifact`; None for another's, or for names outside of it."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        record = json.loads(data)
        files = {str(name): str(value) for name, value in record["files"].items()}
        inside = not any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in files)
        if inside and (record["stage"], record["key"]) == (artifact.stage, artifact.key):
            return files
    return None
