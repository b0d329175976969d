"""What a decision provides: trusted and flagged samples, and where it counts, a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.verdict import Power, Verdict
from ray_defense.detectors.protocol import Detector
from ray_defense.scores.split import SplitPositions


def rarity_column(name: str) -> str:
    """Returns the column that says how rare the values of a column of patterns are: 1 - p."""
    return f"{name}_rarity"


@dataclass(frozen=True, eq=False)
class EvidenceTable:
    """What a decision sees: never the truth, never a test set."""

    index: np.ndarray  # int64 [N], ascending
    labels: np.ndarray  # as received, int64 [N]
    num_classes: int
    columns: Mapping[str, np.ndarray]  # float64 [N] by name, larger is more suspicious
    # What detectors measured of the dataset as a whole, by detector.
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # The detector whose finds a detector learned from.
    follows: Mapping[str, str] = field(default_factory=dict)
    # The share of seeds among what the networks of such a detector were trained on.
    seed_shares: Mapping[str, float] = field(default_factory=dict)
    # The evidence of samples that the user vouches for: a reference, and nothing to be judged.
    vouched: "EvidenceTable | None" = None

    @property
    def num_samples(self) -> int:
        return len(self.index)


@dataclass(frozen=True, eq=False)
class Decided:
    """A decision on every sample."""

    positions: SplitPositions
    scores: np.ndarray  # float64 [N], one score that goes along with the split
    notes: list[str]  # what a reader should doubt
    verdict: Verdict | None = None  # None where the decision does not count evidence
    # What each column says of each sample, bool or float64 [N] by name.
    findings: Mapping[str, np.ndarray] = field(default_factory=dict)


class Decision(Protocol):
    """A frozen dataclass whose fields are the parameters of the decision."""

    name: ClassVar[str]
    gives_verdict: ClassVar[bool]

    @property
    def columns_used(self) -> tuple[str, ...]:
        """The columns of the evidence that it needs by name; others it takes as they come."""

    def decide(self, table: EvidenceTable, score: str, power: Power | None = None) -> Decided:
        """Returns the decision.

        Args:
            table: The evidence of all detectors.
            score: The column of the first detector of the recipe.
            power: What planted canaries showed, where they were measured.

        Raises:
            InputError: Where no decision is possible and the decision gives no verdict.
        """

    def split(self, scores: np.ndarray) -> SplitPositions:
        """Returns the parts by one score alone, float64 [N], for traces of training."""


def check_columns(decision: Decision, detectors: Sequence[Detector]) -> None:
    """Raises InputError if a decision needs a column that none of the detectors gives."""
    given: list[str] = []
    for detector in detectors:
        given.extend(detector.columns)
    for column in decision.columns_used:
        if column not in given:
            raise InputError(
                f"decide={decision.name} needs the column {column!r}, and the detectors of the "
                f"recipe give only {', '.join(given)}: add its detector with "
                "--set detect.detectors=..., or take the column out of decide"
            )
