"""The paper's decision: fixed fractions of the samples with the lowest and the highest scores."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.balance_notes import balance_notes
from ray_defense.detectors.decision.protocol import Decided, EvidenceTable
from ray_defense.detectors.decision.verdict import Power
from ray_defense.scores.split import SplitPositions, split_by_score


@dataclass(frozen=True)
class Fractions:
    """Trusts the lowest scores and flags the highest, by exact counts (Algorithms 1 and 2, D2)."""

    name: ClassVar[str] = "fractions"
    gives_verdict: ClassVar[bool] = False

    trusted_fraction: float = 0.20  # alpha_c
    flagged_fraction: float = 0.05  # alpha_p

    def __post_init__(self) -> None:
        check_in_range("decide.trusted_fraction", self.trusted_fraction, 0, 1)
        check_in_range("decide.flagged_fraction", self.flagged_fraction, 0, 1)
        total = self.trusted_fraction + self.flagged_fraction
        check_in_range("decide.trusted_fraction + decide.flagged_fraction", total, 0, 1)

    @property
    def columns_used(self) -> tuple[str, ...]:
        return ()

    def decide(self, table: EvidenceTable, score: str, power: Power | None = None) -> Decided:
        """Returns the decision by the score of the first detector (see `Decision.decide`).

        Raises:
            InputError: If all scores are equal.
        """
        scores = table.columns[score]
        check_assessable(scores)
        positions = self.split(scores)
        trusted_labels = table.labels[positions.trusted]
        notes = split_notes(
            np.bincount(trusted_labels, minlength=table.num_classes),
            np.bincount(table.labels, minlength=table.num_classes),
            scores,
        )
        return Decided(positions, scores, notes)

    def split(self, scores: np.ndarray) -> SplitPositions:
        """Returns the three parts of the samples by their scores, float64 [N], finite."""
        return split_by_score(scores, self.trusted_fraction, self.flagged_fraction)


def check_assessable(scores: np.ndarray) -> None:
    """Raises InputError if all scores are equal: no split of them means anything."""
    if scores.min() == scores.max():
        raise InputError(
            f"not assessable: all {len(scores)} scores equal {scores[0]:g} "
            "(are all images the same?)"
        )


def split_notes(
    trusted_counts: np.ndarray, all_counts: np.ndarray, scores: np.ndarray
) -> list[str]:
    """Returns what should make a reader doubt a split.

    Args:
        trusted_counts: Trusted samples by class, int [C].
        all_counts: All samples by class, int [C].
        scores: float64 [N].
    """
    notes = balance_notes(trusted_counts, all_counts)
    zero_fraction = float(np.mean(scores == 0))
    if zero_fraction > 0.5:
        notes.append(
            f"{zero_fraction:.0%} of the scores are exactly 0: the probe's features have "
            "collapsed, and which of these samples are trusted is a matter of their index (D2)"
        )
    return notes
