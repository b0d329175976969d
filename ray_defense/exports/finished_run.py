"""A run that is finished, read from its store or from the folder of an audit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.text import shortened
from ray_defense.exports.audit_folder import AuditFolder, is_audit_folder, read_small_file
from ray_defense.reports.result import Result
from ray_defense.store.record import RECORD, read_record
from ray_defense.store.stored_runs import StoredRun, list_runs, store_folder

RESULT = "result.json"
_REPORT = "report"
_SPLIT = "split"
_SWEEP = "sweep"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What two runs can be compared by.

    Attributes:
        path: Of the store or the audit, as it was named.
        configuration: The recipe as plain data; empty where it is not known.
        verdict: As in `verdict.json`; None for a decision that only ranks.
        index: The index of each sample, int64 [N], ascending.
        part: The part of each sample, str [N].
        dataset: The key of the dataset.
    """

    path: str
    configuration: Mapping[str, Any]
    verdict: str | None
    index: np.ndarray
    part: np.ndarray
    dataset: str

    @property
    def flagged(self) -> np.ndarray:
        """The indices of the flagged samples, ascending."""
        flagged: np.ndarray = self.index[self.part == "flagged"]
        return flagged

    def count(self, part: str) -> int:
        """Returns the number of samples of a part."""
        return int((self.part == part).sum())


def open_run(location: str | Path) -> FinishedRun:
    """Opens an audit, or the run whose `result.json` a store holds, or else its last detection.

    Raises:
        InputError: If there is neither, or a file is not what was written.
        DamageError: If a file of the store is damaged.
    """
    if is_audit_folder(location):
        audit = AuditFolder.open(location)
        return FinishedRun(
            path=str(location),
            configuration=audit.manifest["configuration"],
            verdict=audit.verdict.get("verdict"),
            index=audit.columns["index"],
            part=audit.columns["split"].astype(str),
            dataset=Path(str(audit.manifest["artifacts"].get("ingest"))).name,
        )
    return _open_store(location)


def has_result(location: str | Path) -> bool:
    """Returns whether a store holds the `result.json` of a run."""
    return (store_folder(location) / RESULT).is_file()


def last_detection_or_sweep(location: str | Path) -> StoredRun | None:
    """Returns what a store without a result was last used for; None if for neither.

    Raises:
        InputError: If there is no such store.
        DamageError: If the record of an artifact is damaged.
    """
    for run in list_runs(location).runs:
        if run.path.parent.name in (_SPLIT, _SWEEP):
            return run
    return None


def read_result(location: str | Path) -> Result:
    """Returns the numbers of the run whose `result.json` a store holds.

    Raises:
        InputError: If there is none, or it is no result.
    """
    path = store_folder(location) / RESULT
    if not path.is_file():
        raise InputError(
            f"the store {str(location)!r} has no {RESULT}: ray-defense runs names what it holds, "
            "and ray-defense report writes the result of a finished run"
        )
    try:
        result = Result.from_plain(json.loads(read_small_file(path)))
        for stage in ("ingest", "split"):
            _key_of(result, stage)
        _check_intervals(result)
    except (ValueError, KeyError, RecursionError) as error:
        raise InputError(
            f"{str(path)!r} is no result of this version ({shortened(error, 100)}): write it again "
            "with ray-defense report"
        ) from None
    return result


def _open_store(location: str | Path) -> FinishedRun:
    from ray_defense.data.split_table import read_split

    root = store_folder(location)
    if not has_result(location):
        detection = last_detection_or_sweep(location)
        if detection is not None and detection.path.parent.name == _SPLIT:
            return _detected(location, detection)
    result = read_result(location)
    split_folder = _artifact(root, result, "split")
    if not (split_folder / RECORD).is_file():
        raise InputError(f"the store {str(location)!r} does not hold the split of its {RESULT}")
    split = read_split(split_folder)
    configuration: Mapping[str, Any] = {}
    report = _artifact(root, result, _REPORT) if _REPORT in result.artifacts else None
    if report is not None and (report / RECORD).is_file():
        configuration = read_record(report)["config"].get("config", {})
    return FinishedRun(
        path=str(location),
        configuration=configuration,
        verdict=result.verdict,
        index=split.index,
        part=split.part,
        dataset=_key_of(result, "ingest"),
    )


def _detected(location: str | Path, run: StoredRun) -> FinishedRun:
    from ray_defense.data.split_table import read_split
    from ray_defense.exports.finished_detection import read_detection

    split = read_split(run.path)
    detection = read_detection(run.path)
    return FinishedRun(
        path=str(location),
        configuration={},
        verdict=detection.details.get("verdict"),
        index=split.index,
        part=split.part,
        dataset=detection.dataset,
    )


def _artifact(root: Path, result: Result, stage: str) -> Path:
    """Returns the directory of an artifact in a store, which may have moved since."""
    return root / stage / _key_of(result, stage)


def _key_of(result: Result, stage: str) -> str:
    """Returns the last part of the path of an artifact; raises ValueError if it is no name."""
    name = Path(result.artifacts[stage]).name
    if name in ("", "..") or "\0" in name:
        raise ValueError(f"the {stage} is no artifact")
    return name


def _check_intervals(result: Result) -> None:
    """Raises ValueError for an interval that does not hold two numbers."""
    for name, rates in result.models.items():
        for interval in (rates.acc_interval, rates.asr_interval, rates.robust_acc_interval):
            if interval is not None and len(interval) != 2:
                raise ValueError(f"an interval of {name} has not two numbers")
    if not result.score.trusted_class_counts:
        raise ValueError("score.trusted_class_counts is empty")
