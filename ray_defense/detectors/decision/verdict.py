"""The verdict on a dataset: whether there is evidence of a backdoor, where, and how sure."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["evidence", "no evidence", "not assessable"]
ColumnKind = Literal["antisymmetric", "pattern", "one_sided", "grown"]
# A label; "all" labels together; or the "rest", without the labels that are suspected.
Group = int | Literal["all", "rest"]


@dataclass(frozen=True)
class Interval:
    """Bounds of a number of samples."""

    low: int
    high: int


@dataclass(frozen=True)
class GroupTest:
    """One sign test for a trigger: a column over the samples of one label, or of several."""

    column: str
    group: Group
    num_samples: int
    p_value: float
    adjusted_p_value: float  # by Bonferroni, over all columns and groups
    threshold: float | None  # of knockoff+; None where it flags nothing
    num_flagged: int
    num_poisoned: Interval  # of the flagged


@dataclass(frozen=True)
class ColumnReport:
    """What one column contributed."""

    column: str
    kind: ColumnKind
    assessable: bool
    reason: str | None  # why it is not assessable
    gives_evidence: bool
    num_flagged: int
    middle_accuracy: float | None  # mid50, of an antisymmetric column
    coherence: float | None  # of a grown column
    auroc_of_flagged: float | None  # of all flagged samples against the others
    agrees: bool


@dataclass(frozen=True)
class CanaryResult:
    """How many planted canaries of one kind were found."""

    family: str
    keeps_label: bool
    num_planted: int
    num_found: int
    num_others: int  # flagged samples that are no canaries
    evidence: bool  # whether the verdict was evidence


@dataclass(frozen=True)
class Power:
    """What share of planted canaries the same detectors and the same decision find."""

    canaries: tuple[CanaryResult, ...]


@dataclass(frozen=True)
class Verdict:
    """The content of `verdict.json`."""

    verdict: Outcome
    reasons: tuple[str, ...]  # why not assessable, or why a column was left out
    false_discovery_rate: float
    alarm_level: float
    labels_suspected: tuple[int, ...]  # ascending; empty where the flagged lie in all labels
    num_samples: int
    num_flagged: int
    num_poisoned: Interval | None  # of the flagged; None where nothing bounds it
    detectors_agree: tuple[str, ...]
    columns: tuple[ColumnReport, ...]
    tests: tuple[GroupTest, ...]
    power: Power | None  # None where it was not measured
