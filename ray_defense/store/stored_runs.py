"""What runs a store holds, told from the records of its artifacts alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError
from ray_defense.store.record import RECORD, read_record
from ray_defense.store.remote import local_directory

_KEY = re.compile(r"[0-9a-f]{16}")
_WORK = re.compile(r"[0-9a-f]{16}\.work")


@dataclass(frozen=True)
class StoredRun:
    """An artifact that no other was made from, and all that it was made from.

    Attributes:
        recipe: The name of the recipe; None where no report has been written yet.
        seed: Of the run; None for an artifact that has none.
        finished: When the last artifact was finished.
        stages: The stages of all its artifacts, those that were made first in front.
        path: The directory of the last artifact.
    """

    recipe: str | None
    seed: int | None
    finished: datetime
    stages: tuple[str, ...]
    path: Path


@dataclass(frozen=True)
class StoredRuns:
    """The runs of a store, the last one first, and the stages that are not finished."""

    runs: tuple[StoredRun, ...]
    unfinished: tuple[str, ...]  # stages, one for each directory of work


@dataclass(frozen=True)
class _Finished:
    path: Path
    record: Mapping[str, Any]
    time: float


def list_runs(location: str | Path) -> StoredRuns:
    """Returns the runs of a store.

    Args:
        location: The directory of the store.

    Raises:
        InputError: If there is no such directory.
        DamageError: If the record of an artifact is damaged.
    """
    root = store_folder(location)
    artifacts = {artifact.record["key"]: artifact for artifact in _artifacts(root)}
    used = set()
    for artifact in artifacts.values():
        used.update(artifact.record["inputs"].values())
    runs = []
    for key, artifact in artifacts.items():
        if key not in used:
            runs.append(_run_of(key, artifact, artifacts))
    runs.sort(key=lambda run: (run.finished, run.path.as_posix()), reverse=True)
    unfinished = []
    for path in sorted(root.glob("*/*.work")):
        if _WORK.fullmatch(path.name) and path.is_dir():
            unfinished.append(path.parent.name)
    return StoredRuns(tuple(runs), tuple(unfinished))


def store_folder(location: str | Path) -> Path:
    """Returns the directory of a store that is there.

    Raises:
        InputError: If it is not there, or the store is at a URI.
    """
    root = local_directory(location)
    if root is None:
        raise InputError(f"{str(location)!r} is a URI: name a copy of the store in a directory")
    if not root.is_dir():
        raise InputError(f"there is no store {str(location)!r}: name a directory")
    return root


def _artifacts(root: Path) -> Iterator[_Finished]:
    for path in sorted(root.glob("*/*")):
        record = path / RECORD
        if _KEY.fullmatch(path.name) and record.is_file():
            yield _Finished(path, read_record(path), record.stat().st_mtime)


def _run_of(key: str, last: _Finished, artifacts: Mapping[str, _Finished]) -> StoredRun:
    """Returns the run that ends with an artifact."""
    members = {}
    waiting = [key]
    while waiting:
        name = waiting.pop()
        if name in artifacts and name not in members:  # what it was made from may be gone
            members[name] = artifacts[name]
            waiting.extend(artifacts[name].record["inputs"].values())
    in_order = sorted(members.values(), key=lambda member: (member.time, member.path.as_posix()))
    config = last.record["config"]
    recipe = config.get("config")
    return StoredRun(
        recipe=recipe.get("name") if isinstance(recipe, dict) else None,
        seed=config.get("seed"),
        finished=datetime.fromtimestamp(last.time, UTC),
        stages=tuple(dict.fromkeys(member.path.parent.name for member in in_order)),
        path=last.path,
    )
