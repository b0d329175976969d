"""The answer of a finished audit: gathered from the artifacts, and written as files for people."""

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_bytes
from ray_defense.core.version import VERSION
from ray_defense.core.versions import installed_versions
from ray_defense.pipeline.plan import Plan
from ray_defense.pipeline.run import detection_of
from ray_defense.reports.audit import Audit, headline_of
from ray_defense.reports.detection import Detection
from ray_defense.store.checked_files import read_checked_bytes

STORE_FOLDER = "store"


@dataclass(frozen=True)
class AuditRequest:
    """What was asked for, for the records of an audit.

    Attributes:
        data: The data as the user named them.
        command: That does the same again.
        sentences: What was recognized and chosen.
        num_cached: Stages that the store held already.
    """

    data: str
    command: str
    sentences: tuple[str, ...]
    num_cached: int


def check_free(out: Path) -> None:
    """Raises InputError if a folder holds something that no audit left there."""
    from ray_defense.reports.audit_files import MANIFEST

    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{str(out)!r} is no folder: name another with --out")
    if not out.is_dir():
        return
    entries = set(os.listdir(out))
    if entries and MANIFEST not in entries and STORE_FOLDER not in entries:
        raise InputError(
            f"{str(out)!r} is not empty and holds no audit: name another folder with --out"
        )


def write_audit(plan: Plan, out: Path, request: AuditRequest) -> Audit:
    """Writes the files of an audit and returns its answer.

    Args:
        plan: The plan of the audit, run up to its split.
        out: The folder of the audit.
        request: What was asked for.
    """
    from ray_defense.reports import audit_files
    from ray_defense.stages.decide import SPLIT, VERDICT_FILE

    samples = _AuditedSamples(plan)
    artifacts = plan.artifacts("split")
    audit_files.write_samples(out, samples.columns)
    audit_files.write_csv(
        out / audit_files.REJECTED, ("file", "index", "reason"), samples.rejected_rows()
    )
    verdict_bytes = read_checked_bytes(artifacts[SPLIT].path / VERDICT_FILE)
    write_bytes(out / audit_files.VERDICT, verdict_bytes)
    detection = samples.detection
    seconds = sum(artifact.seconds for artifact in artifacts.values())
    audit = Audit(
        verdict=_outcome(detection),
        headline=headline_of(detection.details, samples.class_names),
        flagged=detection.flagged,
        classes_suspected=samples.suspected_names(),
        power=detection.power,
        num_rejected=len(samples.rejected),
        sentences=request.sentences,
        notes=detection.notes,
        out=out,
        report=out / audit_files.PAGE,
        seconds=seconds,
        num_cached=request.num_cached,
        num_stages=len(artifacts),
        details=detection.details,
        columns=samples.columns,
    )
    described = {
        "ray_defense": VERSION,
        "date": datetime.date.today().isoformat(),
        "command": request.command,
        "data": request.data,
        "source": to_plain(plan.recipe.source),
        "configuration": to_plain(plan.recipe),
        "store": STORE_FOLDER,
        "artifacts": {
            stage: os.path.relpath(artifact.path, out) for stage, artifact in artifacts.items()
        },
        "data_fingerprint": samples.fingerprint(),
        "num_samples": len(samples.index),
        "num_rejected": len(samples.rejected),
        "class_names": list(samples.class_names),
        "versions": installed_versions(),
    }
    write_page(out, audit, described)
    audit_files.write_manifest_of_audit(out, described)
    return audit


def write_page(out: Path, audit: Audit, described: Mapping[str, Any]) -> None:
    """Writes the report of an audit."""
    raise NotImplementedError


def _outcome(detection: Detection) -> Any:
    assert detection.verdict is not None  # the decision of an audit counts evidence
    return detection.verdict


class _AuditedSamples:
    """The samples of an audit, as its table and its page show them."""

    def __init__(self, plan: Plan):
        from ray_defense.data.split_table import read_split
        from ray_defense.data.suspect_dataset import MANIFEST, SuspectDataset
        from ray_defense.data.table_file import read_table
        from ray_defense.stages.decide import SPLIT

        artifacts = plan.artifacts("split")
        suspect = plan.dataset.step.artifact
        self.dataset = SuspectDataset(suspect.path)
        self.class_names = self.dataset.class_names
        self.index = self.dataset.index
        self.labels = self.dataset.labels
        self.detection = detection_of(plan)
        self.suspect = suspect
        table = read_table(suspect.path / MANIFEST, columns=["origin", "sha256"])
        self.origins: list[str] = table["origin"].to_pylist()
        self.hashes: list[str] = table["sha256"].to_pylist()
        self.scores = read_split(artifacts[SPLIT].path).score
        self.findings = _read_findings(artifacts[SPLIT].path)
        self.evidence = self._evidence_columns()
        self.rejected = read_table(suspect.path / "rejected.parquet").to_pylist()
        self.duplicates = self._duplicates()
        is_flagged = self.detection.columns["split"] == "flagged"
        # Flagged samples first, then by score; of equal ones the first of the data.
        self.order = np.lexsort((self.index, -self.scores, ~is_flagged))
        self.columns = self._table()

    def suspected_names(self) -> tuple[str, ...]:
        """Returns the names of the suspected classes."""
        return tuple(self.class_names[label] for label in self.detection.labels_suspected)

    def rejected_rows(self) -> list[tuple[str, int, str]]:
        """Returns file, position and reason of each rejected sample."""
        return [(row["origin"], row["index"], row["reason"]) for row in self.rejected]

    def fingerprint(self) -> str:
        """Returns one hash of all samples."""
        from ray_defense.reports.audit_files import data_fingerprint

        return data_fingerprint(self.index, self.labels, self.hashes)

    def _evidence_columns(self) -> dict[str, np.ndarray]:
        columns = dict(self.detection.columns)
        for name in ("index", "label", "split"):
            columns.pop(name)
        return columns

    def _duplicates(self) -> list[int | None]:
        from ray_defense.data.table_file import read_table
        from ray_defense.stages.ingest_tables import DUPLICATES

        groups: list[int | None] = [None] * len(self.index)
        if self.suspect.has_file(DUPLICATES):
            table = read_table(self.suspect.path / DUPLICATES)
            positions = self.dataset.locate(table["index"].to_numpy())
            for position, group in zip(positions, table["group"].to_pylist(), strict=True):
                groups[position] = group
        return groups

    def _table(self) -> dict[str, Any]:
        """Returns the columns of `audit.parquet`, rows by ascending rank."""
        order = self.order
        reasons = self._reasons()
        columns: dict[str, Any] = {
            "file": [self.origins[position] for position in order],
            "class": [self.class_names[self.labels[position]] for position in order],
            "label": self.labels[order],
            "index": self.index[order],
            "split": self.detection.columns["split"][order],
            "rank": np.arange(1, len(order) + 1),
            "score": self.scores[order],
        }
        for name, values in self.evidence.items():
            columns[name] = values[order]
        columns["p"] = self._p_values()[order]
        columns["reasons"] = [reasons[position] for position in order]
        columns["duplicates"] = [self.duplicates[position] for position in order]
        return columns

    def _reasons(self) -> list[str]:
        names: list[list[str]] = [[] for _ in self.index]
        for column, flagged in self.findings.items():
            for position in np.flatnonzero(flagged):
                names[position].append(column)
        return ["; ".join(of_sample) for of_sample in names]

    def _p_values(self) -> np.ndarray:
        """Returns the p-value of each sample by the first antisymmetric column; 1 without one.

        On samples without a trigger the sign of such a column is a fair coin, so its negative tail
        says how many of them score at least so high.
        """
        for report in self.detection.details.get("columns", ()):
            if report["kind"] == "antisymmetric" and report["assessable"]:
                return sign_p_values(self.evidence[report["column"]])
        return np.ones(len(self.index))


def sign_p_values(statistics_N: np.ndarray) -> np.ndarray:
    """Returns (1 + #{W_j <= -W_i}) / (1 + N) for each sample, float64 [N].

    Args:
        statistics_N: An antisymmetric statistic, finite.
    """
    ascending = np.sort(statistics_N)
    num_below = np.searchsorted(ascending, -statistics_N, side="right")
    p_values: np.ndarray = (1 + num_below) / (1 + len(statistics_N))
    return p_values


def _read_findings(split: Path) -> dict[str, np.ndarray]:
    """Returns which samples each column flagged, bool [N] by column."""
    from ray_defense.data.table_file import read_table
    from ray_defense.stages.decide import DECISION_FILE

    table = read_table(split / DECISION_FILE)
    ending = "_flagged"
    findings = {}
    for name in table.column_names:
        if name.endswith(ending):
            findings[name.removesuffix(ending)] = table[name].to_numpy(zero_copy_only=False)
    return findings


def next_commands(audit: Audit) -> Sequence[str]:
    """Returns the commands that a user may want to type next, with the paths of this audit."""
    import shlex

    folder = shlex.quote(str(audit.out))
    commands = [f"ray-defense show {folder}"]
    if audit.verdict == "evidence":
        commands.append(f"ray-defense export {folder} --flagged --as folder --out flagged-images")
        commands.append(f"ray-defense export {folder} --kept --as folder --out kept-images")
        commands.append(f"ray-defense defend {folder} --method d-st")
    return commands
