"""Notes of the SHA-256 of files that stand in a directory of work for long before it is published.

Hours pass between the first shard and the last. What happens to a file meanwhile is noticed when
the artifact is published, as its record is made of these hashes.
"""

from pathlib import Path

from ray_defense.core.errors import DamageError
from ray_defense.core.files import file_hash
from ray_defense.core.sealed import SEALED_SUFFIX, read_sealed, write_sealed
from ray_defense.store.record import SCRATCH

_FOLDER = "written"


def note_written(work: Path, name: str) -> None:
    """Notes the SHA-256 of a file that was just written.

    Args:
        work: The directory of work.
        name: The path of the file, relative to it, with slashes.
    """
    note = _note(work, name)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(note, file_hash(work / name).encode())


def check_written(work: Path, name: str, digest: str) -> None:
    """Compares a file that is to be published with the note of it, if there is one.

    Args:
        work: The directory of work.
        name: The path of the file, relative to it, with slashes.
        digest: The SHA-256 of the file as it is now.

    Raises:
        DamageError: If the file has changed.
    """
    note = _note(work, name)
    if note.exists() and read_sealed(note, remove=work).decode() != digest:
        raise DamageError.of(work / name, "has changed since it was written", work)


def _note(work: Path, name: str) -> Path:
    return work / SCRATCH / _FOLDER / (name.replace("/", "%2F") + SEALED_SUFFIX)
