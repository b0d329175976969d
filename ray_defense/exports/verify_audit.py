"""Reads an audit and its store through, and names what is not what the audit wrote."""

from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.text import encodable, shortened
from ray_defense.exports.audit_folder import (
    AUDIT_MANIFEST,
    AUDIT_TABLE,
    AUDIT_VERDICT,
    AuditFolder,
    damage_of,
    read_audit_manifest,
)
from ray_defense.exports.pictures import check_originals
from ray_defense.store.checked_files import read_checked_json
from ray_defense.store.record import is_hidden
from ray_defense.store.verify import Verification, verify_store

_REMEDY = "restore it, or audit the data again"
_VERDICT_KEYS = ("verdict", "num_flagged", "labels_suspected")


def verify_audit(path: str | Path, *, rehash: bool = False) -> Verification:
    """Reads every file of an audit and of its store, and compares the two with each other.

    Somebody who edits a table may also edit its hash in the manifest. The store says the same
    things a second time, in files that are sealed.

    Args:
        path: The folder of the audit.
        rehash: Whether the audited files are read again too, and their pixels compared with those
            in the store. Size and time of a file, by which a run knows that it has changed, can
            be set by anybody.

    Raises:
        InputError: If there is no audit.
    """
    root = Path(path).expanduser().absolute()
    result = Verification()
    try:
        manifest = read_audit_manifest(root)
    except InputError as error:
        if not (root / AUDIT_MANIFEST).is_file():
            raise
        result.damages.append(str(error))
        return result
    result.num_files = 1  # the manifest
    for name, digest in manifest["files"].items():
        result.num_files += 1
        damage = damage_of(root, name, digest)
        if damage is not None:
            result.damages.append(f"{damage}: {_REMEDY}")
    result.damages.extend(_unnamed_files(root, manifest))
    _verify_store_of(root, manifest, result)
    if not result.damages:
        try:
            audit = AuditFolder.open(root)
            result.damages.extend(_disagreements(audit))
            if rehash:
                result.num_files += check_originals(audit)
        except (InputError, RunError) as error:
            result.damages.append(str(error))
    return result


def _verify_store_of(root: Path, manifest: dict[str, Any], result: Verification) -> None:
    try:
        in_store = verify_store(root / manifest["store"])
    except (InputError, RunError) as error:
        result.damages.append(f"the store of the audit cannot be read: {error}")
        return
    result.num_artifacts += in_store.num_artifacts
    result.num_files += in_store.num_files
    result.damages.extend(in_store.damages)


def _unnamed_files(root: Path, manifest: dict[str, Any]) -> list[str]:
    """Returns a line for each file beside those of the manifest."""
    damages = []
    for path in sorted(root.iterdir()):
        known = path.name == AUDIT_MANIFEST or path.name in manifest["files"]
        is_folder = path.is_dir() and not path.is_symlink()
        if not known and not is_folder and not is_hidden(path.name):
            name = shortened(encodable(str(path)))
            damages.append(f"{name!r} is not in the manifest of the audit: take it out")
    return damages


def _disagreements(audit: AuditFolder) -> list[str]:
    """Returns what an audit says otherwise than its store, a line each."""
    from ray_defense.data.split_table import read_split
    from ray_defense.data.suspect_dataset import REJECTED, SuspectDataset
    from ray_defense.data.table_file import read_table

    dataset = SuspectDataset(audit.artifact("ingest"))
    split_folder = audit.artifact("split")
    split = read_split(split_folder)
    columns = audit.columns
    table = str(audit.root / AUDIT_TABLE)
    same_index = np.array_equal(columns["index"], dataset.index)
    same_index = same_index and np.array_equal(columns["index"], split.index)
    found = []
    if not same_index:
        return [f"{table!r} has other samples than the store: {_REMEDY}"]
    pairs = {
        "label": np.array_equal(columns["label"], dataset.labels),
        "split": np.array_equal(columns["split"].astype(str), split.part),
        "score": np.array_equal(columns["score"], split.score, equal_nan=True),
    }
    for name, agrees in pairs.items():
        if not agrees:
            found.append(f"{table!r} says otherwise than the store in {name!r}: {_REMEDY}")
    num_rejected = len(read_table(dataset.directory / REJECTED, columns=["index"]))
    manifest = str(audit.root / AUDIT_MANIFEST)
    if num_rejected != audit.manifest["num_rejected"]:
        found.append(f"{manifest!r} counts other rejected files than the store: {_REMEDY}")
    if audit.class_names != dataset.class_names:
        found.append(f"{manifest!r} names other classes than the store: {_REMEDY}")
    if (split_folder / AUDIT_VERDICT).is_file():
        decided = read_checked_json(split_folder / AUDIT_VERDICT)
        for key in _VERDICT_KEYS:
            if audit.verdict.get(key) != decided.get(key):
                verdict = str(audit.root / AUDIT_VERDICT)
                found.append(f"{verdict!r} says otherwise than the store in {key!r}: {_REMEDY}")
    return found
