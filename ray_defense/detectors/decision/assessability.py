"""Why a column cannot be counted: equal values, a handed source, a probe that fits nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from ray_defense.detectors.decision.protocol import EvidenceTable
from ray_defense.detectors.decision.verdict import ColumnKind
from ray_defense.scores.mirror_accuracy import middle_accuracy

COHERENCE = "coherence"  # the metric of a detector that grows: see `scores/coherence.py`
ALIKENESS = "alikeness"  # the metric of a detector of patterns: see `detectors/alikeness.py`
TRAIN_ACCURACY = "train_accuracy"  # the metric of a detector that reads a probe

# A probe that is right on fewer than this much more than the most frequent label fits nothing.
_LEAST_FIT = 0.05


@dataclass(frozen=True)
class Limits:
    """What a column must satisfy."""

    max_middle_accuracy: float
    max_grown_fraction: float
    max_alikeness: float


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the evidence, and whether it can be counted."""

    name: str
    kind: ColumnKind
    values_N: np.ndarray
    middle_accuracy: float | None
    coherence: float | None
    reason: str | None  # why it is not assessable; None where it is

    @property
    def assessable(self) -> bool:
        return self.reason is None


def assess_columns(
    table: EvidenceTable, kinds: Mapping[str, ColumnKind], limits: Limits
) -> dict[str, Column]:
    """Returns the columns by name; one that grew from a column that is not assessable is not."""
    columns: dict[str, Column] = {}
    # Grown columns come last: they depend on the columns that they grew from.
    for name in sorted(kinds, key=lambda name: kinds[name] == "grown"):
        columns[name] = _assess(table, name, kinds[name], limits=limits, others=columns)
    return columns


def _assess(
    table: EvidenceTable,
    name: str,
    kind: ColumnKind,
    *,
    limits: Limits,
    others: Mapping[str, Column],
) -> Column:
    values_N = table.columns[name]
    middle = middle_accuracy(values_N) if kind == "antisymmetric" else None
    coherence = None
    if kind == "grown":
        coherence = table.metrics.get(name, {}).get(COHERENCE)
    reason = _reason_of_values(table, name, kind)
    root = others.get(table.follows.get(name, ""))
    if reason is None and root is not None and not root.assessable:
        reason = f"{name} learned from the finds of {root.name}, which is not assessable"
    if reason is None and middle is not None:
        highest = max(limits.max_middle_accuracy, _highest_by_chance(len(values_N)))
        if middle > highest:
            reason = (
                f"{name} is right about {middle:.1%} of the half of the images that tell least, "
                f"above {highest:.1%}: the images differ from their mirror images by themselves "
                "(text, digits, traces of JPEG), or about half of them carry a trigger"
            )
    if reason is None and kind == "pattern":
        alikeness = table.metrics.get(name, {}).get(ALIKENESS, 0.0)
        if alikeness > limits.max_alikeness:
            reason = (
                f"{name} finds that {alikeness:.0%} of what images show is the mean of their "
                f"label, above {limits.max_alikeness:.0%}: images of a label are alike by "
                "themselves (digits, faces, signs)"
            )
    if reason is None and kind == "grown":
        grown_fraction = float(np.mean(values_N > 0))
        if grown_fraction > limits.max_grown_fraction:
            reason = f"{name} grew to {grown_fraction:.0%} of all samples: it learned no trigger"
    return Column(name, kind, values_N, middle, coherence, reason)


def _highest_by_chance(num_samples: int) -> float:
    """Returns three standard errors above 1/2, for the accuracy among half of the samples."""
    return 0.5 + 1.5 / sqrt(0.5 * num_samples)


def _reason_of_values(table: EvidenceTable, name: str, kind: ColumnKind) -> str | None:
    """Returns what is wrong with the values of a column, or with the probe that gave them."""
    values_N = table.columns[name]
    # A column that had no seeds to grow from is constant, and one that found no pattern is, too.
    if values_N.min() == values_N.max() and kind not in ("grown", "pattern"):
        return f"all {len(values_N)} values of {name} equal {values_N[0]:g} (are all images equal?)"
    accuracy = table.metrics.get(name, {}).get(TRAIN_ACCURACY)
    most_frequent = float(np.bincount(table.labels).max() / table.num_samples)
    if accuracy is not None and accuracy < most_frequent + _LEAST_FIT:
        return (
            f"the probe of {name} fits only {accuracy:.0%} of the labels, and the most frequent "
            f"label alone is {most_frequent:.0%}: raise probe.epochs"
        )
    return None
