"""A detection that ended with its verdict, read from the store that holds its split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError
from ray_defense.core.plain_types import mismatch_of
from ray_defense.data.evidence_table import EVIDENCE_FILE
from ray_defense.data.split_table import PARTS, SPLIT_FILE
from ray_defense.data.text import shortened
from ray_defense.detectors.decision.verdict import Verdict
from ray_defense.stages.decide import DECISION_FILE, SPLIT, VERDICT_FILE
from ray_defense.stages.detect import EVIDENCE
from ray_defense.stages.summary import notes_of_stages
from ray_defense.store.checked_files import read_checked_json
from ray_defense.store.record import RECORD, read_record

_POWER = "power"  # the role of what planted canaries showed


@dataclass(frozen=True)
class FinishedDetection:
    """What a detection found.

    Attributes:
        name: The stage and the key of the split.
        dataset: The key of the dataset.
        seed: Of the run; None where its artifacts have none.
        counts: Samples of each part of the split: trusted, flagged, uncertain.
        details: The content of `verdict.json`; empty for a decision without a verdict.
        notes: What a reader should doubt.
        files: The path of each file, by its name.
    """

    name: str
    dataset: str
    seed: int | None
    counts: Mapping[str, int]
    details: Mapping[str, Any]
    notes: tuple[str, ...]
    files: Mapping[str, Path]


def read_detection(split: Path) -> FinishedDetection:
    """Returns what a detection found.

    Args:
        split: The directory of its last artifact, in a store that may have moved since.

    Raises:
        InputError: If its files are not of this version.
        DamageError: If one of them is damaged.
    """
    folders = _folders_of(split)
    files = {}
    if EVIDENCE in folders:
        files[EVIDENCE_FILE] = folders[EVIDENCE] / EVIDENCE_FILE
    for name in (SPLIT_FILE, DECISION_FILE, VERDICT_FILE):
        if (split / name).is_file():
            files[name] = split / name
    try:
        summary = read_checked_json(split / "summary.json")
        counts = {part: int(summary[f"num_{part}"]) for part in PARTS}
        details = _read_verdict(files[VERDICT_FILE]) if VERDICT_FILE in files else {}
        notes = tuple(map(str, notes_of_stages(folders)))
        record = read_record(split)
        dataset = str(record["inputs"]["suspect"])
        seed: int | None = record["config"].get("seed")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{str(split)!r} is no split of this version ({shortened(error, 100)}): run "
            "ray-defense detect again"
        ) from None
    return FinishedDetection(
        name=f"{SPLIT}/{split.name}",
        dataset=dataset,
        seed=seed,
        counts=counts,
        details=details,
        notes=notes,
        files=files,
    )


def _folders_of(split: Path) -> dict[str, Path]:
    """Returns the directory of each artifact that a split was made from, by stage.

    What planted canaries showed is left out: it has datasets and evidence of its own.
    """
    finished = {}
    for record in split.parent.parent.glob(f"*/*/{RECORD}"):
        finished[record.parent.name] = record.parent
    folders = {}
    waiting = [split]
    while waiting:
        folder = waiting.pop()
        folders[folder.parent.name] = folder
        for role, key in read_record(folder)["inputs"].items():
            if role != _POWER and key in finished:  # what it was made from may be gone
                waiting.append(finished[key])
    return folders


def _read_verdict(path: Path) -> dict[str, Any]:
    """Returns the content of `verdict.json`; raises ValueError if something has another type."""
    verdict: dict[str, Any] = read_checked_json(path)
    mismatch = mismatch_of(Verdict, verdict, "verdict")
    if mismatch is not None:
        raise ValueError(mismatch)
    return verdict
