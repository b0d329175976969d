"""The samples of a finished audit, as its tables and its page show them.

Shapes: N accepted samples.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.data.split_table import read_split
from ray_defense.data.suspect_dataset import DESCRIPTION, MANIFEST, SuspectDataset
from ray_defense.data.table_file import read_table
from ray_defense.detectors.decision.protocol import rarity_column
from ray_defense.pipeline.audit_files import data_fingerprint
from ray_defense.pipeline.plan import Plan
from ray_defense.pipeline.run import detection_of
from ray_defense.stages.decide import DECISION_FILE, SPLIT
from ray_defense.stages.ingest_tables import CONVERTED, DUPLICATES
from ray_defense.store.checked_files import read_checked_json


class AuditedSamples:
    """What a finished plan says of each sample, in the order of the dataset."""

    def __init__(self, plan: Plan):
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

    @property
    def num_junk(self) -> int:
        """Files and folders that were skipped as no part of the data."""
        description: dict[str, Any] = read_checked_json(self.suspect.path / DESCRIPTION)
        num_junk: int = description["num_junk"]
        return num_junk

    def converted_rows(self) -> list[tuple[str, int, str]]:
        """Returns file, position and former kind of each sample that was converted."""
        if not self.suspect.has_file(CONVERTED):
            return []
        table = read_table(self.suspect.path / CONVERTED)
        return [(row["origin"], row["index"], row["held"]) for row in table.to_pylist()]

    def images_of(self, index: np.ndarray) -> np.ndarray:
        """Returns images of the dataset by their indices, uint8 [n, H, W, 3]."""
        images: np.ndarray = self.dataset.read_images(self.dataset.locate(index))
        return images

    def suspected_names(self) -> tuple[str, ...]:
        """Returns the names of the suspected classes."""
        return tuple(self.class_names[label] for label in self.detection.labels_suspected)

    def rejected_rows(self) -> list[tuple[str, int, str]]:
        """Returns file, position and reason of each rejected sample."""
        return [(row["origin"], row["index"], row["reason"]) for row in self.rejected]

    def fingerprint(self) -> str:
        """Returns one hash of all samples."""
        return data_fingerprint(self.index, self.labels, self.hashes)

    def _evidence_columns(self) -> dict[str, np.ndarray]:
        columns = dict(self.detection.columns)
        for name in ("index", "label", "split"):
            columns.pop(name)
        return columns

    def _duplicates(self) -> list[int | None]:
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
        """Returns the p-value of each sample by the columns that have some, by Bonferroni.

        On samples without a trigger the sign of an antisymmetric column is a fair coin, so its
        negative tail says how many of them score at least so high. A column of patterns comes with
        p-values. Without such a column all p-values are 1.
        """
        of_columns = []
        for report in self.detection.details.get("columns", ()):
            if not report["assessable"]:
                continue
            if report["kind"] == "antisymmetric":
                of_columns.append(sign_p_values(self.evidence[report["column"]]))
            if report["kind"] == "pattern":
                of_columns.append(1 - self.evidence[rarity_column(report["column"])])
        if not of_columns:
            return np.ones(len(self.index))
        p_values_N: np.ndarray = np.minimum(1.0, len(of_columns) * np.min(of_columns, axis=0))
        return p_values_N


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
    table = read_table(split / DECISION_FILE)
    ending = "_flagged"
    findings = {}
    for name in table.column_names:
        if name.endswith(ending):
            findings[name.removesuffix(ending)] = table[name].to_numpy(zero_copy_only=False)
    return findings
