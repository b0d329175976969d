"""The folder that an audit leaves: opened only if every file is what its manifest says."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_type_hints

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.core.plain_types import mismatch_of
from ray_defense.data.text import encodable, shortened
from ray_defense.detectors.decision.verdict import Verdict

AUDIT_MANIFEST = "manifest.json"
AUDIT_TABLE = "audit.parquet"
AUDIT_VERDICT = "verdict.json"
AUDIT_REJECTED = "rejected.csv"
_NEEDED = (AUDIT_TABLE, AUDIT_VERDICT, AUDIT_REJECTED)
_MAX_JSON_BYTES = 2**26
_MAX_FILE_BYTES = 2**34
_MANIFEST_TYPES: dict[str, Any] = {
    "source": dict,
    "configuration": dict,
    "store": str,
    "artifacts": dict,
    "data_fingerprint": str,
    "num_samples": int,
    "num_rejected": int,
    "class_names": list,
    "files": dict,
}
# Decoded, a table of an audit takes more than the file, and a bomb takes a thousand times it.
_MIN_TABLE_BYTES = 2**28
_MAX_TABLE_GROWTH = 100
_VERDICT_READ = ("verdict", "num_flagged", "num_poisoned", "labels_suspected")
_NUM_NAMED = 5  # classes that a message names
_COLUMNS = ("file", "class", "label", "index", "split", "rank", "score")


@dataclass(frozen=True, eq=False)
class AuditFolder:
    """A finished audit.

    Attributes:
        root: The folder.
        manifest: The content of `manifest.json`.
        verdict: The content of `verdict.json`.
        columns: The columns `file`, `class`, `label`, `index`, `split`, `rank` and `score` of
            `audit.parquet`, by ascending index.
    """

    root: Path
    manifest: Mapping[str, Any]
    verdict: Mapping[str, Any]
    columns: Mapping[str, np.ndarray]

    @classmethod
    def open(cls, path: str | Path) -> "AuditFolder":
        """Opens an audit.

        Raises:
            InputError: If there is none, or a file is missing, a link, or not what was written.
        """
        root = Path(path).expanduser().absolute()
        manifest = read_audit_manifest(root)
        for name in manifest["files"]:
            damage = damage_of(root, name, manifest["files"][name])
            if damage is not None:
                raise InputError(
                    f"{damage}: restore what the audit wrote, or audit the data again "
                    f"(ray-defense verify {shortened(encodable(str(path)))} names every change)"
                )
        verdict = _read_verdict(root / AUDIT_VERDICT, len(manifest["class_names"]))
        columns = _read_table(root / AUDIT_TABLE)
        if len(columns["index"]) != manifest["num_samples"]:
            raise _malformed(
                root / AUDIT_TABLE,
                f"has {len(columns['index'])} rows and not {manifest['num_samples']}",
            )
        if columns["label"].max() >= len(manifest["class_names"]):
            raise _malformed(root / AUDIT_TABLE, "has a label that is no class")
        return cls(root, manifest, verdict, columns=columns)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in label order."""
        return tuple(self.manifest["class_names"])

    @property
    def store(self) -> Path:
        """The directory of the store."""
        store: str = self.manifest["store"]
        return self.root / store

    def artifact(self, stage: str) -> Path:
        """Returns the directory of a stage's artifact.

        A path that is relative counts from the audit, or from its store.

        Raises:
            InputError: If the store has no such artifact.
        """
        named = self.manifest["artifacts"].get(stage)
        if isinstance(named, str):
            for base in (self.root, self.store):
                if (base / named).is_dir():
                    return base / named
        raise InputError(
            f"the {stage} of the audit {str(self.root)!r} is not in its store {str(self.store)!r}: "
            "restore the store, or audit the data again"
        )

    def members(self, part: str) -> np.ndarray:
        """Returns the positions in `columns` of the samples of one part.

        Args:
            part: trusted, flagged, uncertain, or kept (all that is not flagged).
        """
        split = self.columns["split"]
        is_member = split != "flagged" if part == "kept" else split == part
        positions: np.ndarray = np.flatnonzero(is_member)
        return positions


def check_trusted_classes(audit: AuditFolder) -> None:
    """Raises InputError if some class has no trusted sample: a defense would lose the class."""
    labels = audit.columns["label"]
    lost = np.setdiff1d(labels, labels[audit.members("trusted")])
    if len(lost):
        names = audit.class_names
        named = [repr(shortened(names[label], 40)) for label in lost[:_NUM_NAMED] if label >= 0]
        more = ", ..." if len(lost) > _NUM_NAMED else ""
        raise InputError(
            f"{len(lost)} of {len(names)} classes have no trusted sample ({', '.join(named)}"
            f"{more}), and a defended model would lose them: add samples of them, or leave them "
            "out, and audit again"
        )


def is_audit_folder(path: str | Path) -> bool:
    """Returns whether a directory holds an audit, and is no store."""
    folder = Path(path).expanduser()
    return (folder / AUDIT_MANIFEST).is_file() and not (folder / AUDIT_MANIFEST).is_symlink()


def read_audit_manifest(root: Path) -> dict[str, Any]:
    """Returns the content of `manifest.json`.

    Raises:
        InputError: If there is none, or it is no manifest of an audit.
    """
    path = root / AUDIT_MANIFEST
    if not is_audit_folder(root):
        raise InputError(
            f"no audit in {shortened(encodable(str(root)))!r}: name the folder that "
            f"ray-defense audit wrote, with {AUDIT_MANIFEST}"
        )
    manifest = _read_object(path)
    for name, kind in _MANIFEST_TYPES.items():
        if type(manifest.get(name)) is not kind:
            raise _malformed(path, f"has no {name}")
    for name, digest in manifest["files"].items():
        is_plain = name == Path(name).name and name not in ("", ".", "..", AUDIT_MANIFEST)
        if not is_plain or "\0" in name or not isinstance(digest, str):
            raise _malformed(path, f"names the file {shortened(encodable(name), 100)!r}")
    for name in _NEEDED:
        if name not in manifest["files"]:
            raise _malformed(path, f"does not name {name}")
    names = manifest["class_names"]
    if not names or not all(isinstance(name, str) for name in names):
        raise _malformed(path, "has no class_names")
    for place in (manifest["store"], *manifest["artifacts"].values()):
        if not _is_inside(place):
            shown = shortened(encodable(str(place)), 100)
            raise _malformed(path, f"names {shown!r}, a place outside of the audit")
    return manifest


def _is_inside(place: object) -> bool:
    """Returns whether a place in a manifest is below the audit, which may be somebody else's."""
    if not isinstance(place, str) or not place or "\0" in place or "://" in place:
        return False
    path = PurePosixPath(place)
    return not path.is_absolute() and ".." not in path.parts


def damage_of(root: Path, name: str, digest: str) -> str | None:
    """Returns what is wrong with a file of an audit, or None.

    Args:
        root: The audit.
        name: The name of the file.
        digest: The SHA-256 in its manifest.
    """
    path = root / name
    try:
        state = os.lstat(path)
    except OSError:
        return f"{str(path)!r} is missing"
    if not stat.S_ISREG(state.st_mode):
        return f"{str(path)!r} is no regular file"
    if state.st_size > _MAX_FILE_BYTES:
        return f"{str(path)!r} has {state.st_size} bytes, more than an audit writes"
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            return f"{str(path)!r} is not what the audit wrote"
    return None


def read_small_file(path: Path) -> bytes:
    """Returns the bytes of a JSON file of an audit.

    Raises:
        InputError: If it has more bytes than such a file has.
    """
    with open(path, "rb") as file:
        data = file.read(_MAX_JSON_BYTES + 1)
    if len(data) > _MAX_JSON_BYTES:
        raise _malformed(path, f"has more than {_MAX_JSON_BYTES} bytes")
    return data


def _read_object(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file."""
    try:
        value = json.loads(read_small_file(path))
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"is no JSON ({shortened(error, 100)})") from None
    if not isinstance(value, dict):
        raise _malformed(path, "is no object")
    return value


def _read_verdict(path: Path, num_classes: int) -> dict[str, Any]:
    """Returns the content of `verdict.json`, of which what is read here has the right types."""
    verdict = _read_object(path)
    hints = get_type_hints(Verdict)
    for key in _VERDICT_READ:
        found: str | None = f"{key} is missing"
        if key in verdict:
            found = mismatch_of(hints[key], verdict[key], key)
        if found is not None:
            raise _malformed(path, f"is no verdict of this version ({shortened(found, 100)})")
    if not all(0 <= label < num_classes for label in verdict["labels_suspected"]):
        raise _malformed(path, "suspects a label that is no class")
    return verdict


def _read_table(path: Path) -> dict[str, np.ndarray]:
    """Returns the columns of `audit.parquet` by ascending index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    budget = max(_MIN_TABLE_BYTES, _MAX_TABLE_GROWTH * path.stat().st_size)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
    try:
        with pq.ParquetFile(path) as opened:
            missing = [name for name in _COLUMNS if name not in opened.schema_arrow.names]
            if missing:
                raise _malformed(path, f"has no column {missing[0]}")
            for rows in opened.iter_batches(columns=list(_COLUMNS), use_threads=False):
                budget -= rows.nbytes
                if budget < 0:
                    raise _malformed(path, "decodes to far more than its size")
                for name in _COLUMNS:
                    parts[name].append(_column_values(path, name, rows[name]))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _malformed(path, f"is no table ({shortened(error, 100)})") from None
    if not parts["index"]:
        raise _malformed(path, "has no rows")
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    order = np.argsort(columns["index"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    index = columns["index"]
    if index[0] < 0 or (np.diff(index) <= 0).any():
        raise _malformed(path, "has an index twice, or a negative one")
    return columns


def _column_values(path: Path, name: str, values: Any) -> np.ndarray:
    if values.null_count:
        raise _malformed(path, f"has a null in the column {name}")
    if name in ("file", "class", "split"):
        return np.array(values.to_pylist(), dtype=object)
    numbers: np.ndarray = values.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in ("i" if name != "score" else "f"):
        raise _malformed(path, f"has no numbers in the column {name}")
    return numbers


def _malformed(path: Path, damage: str) -> InputError:
    return InputError(f"{str(path)!r} {damage}: name a folder that ray-defense audit wrote")
