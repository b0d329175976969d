"""The paper's decision: fixed fractions of the samples with the lowest and the highest scores."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.scores.label_free import starved_classes
from ray_defense.scores.split import SplitPositions, split_by_score

_NUM_NAMED = 10  # classes that a note names


@dataclass(frozen=True)
class Fractions:
    """Trusts the lowest scores and flags the highest, by exact counts (Algorithms 1 and 2, D2)."""

    name: ClassVar[str] = "fractions"

    trusted_fraction: float = 0.20  # alpha_c
    flagged_fraction: float = 0.05  # alpha_p

    def __post_init__(self) -> None:
        check_in_range("decide.trusted_fraction", self.trusted_fraction, 0, 1)
        check_in_range("decide.flagged_fraction", self.flagged_fraction, 0, 1)
        total = self.trusted_fraction + self.flagged_fraction
        check_in_range("decide.trusted_fraction + decide.flagged_fraction", total, 0, 1)

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
    notes = []
    starved = starved_classes(trusted_counts, all_counts)
    if len(starved):
        named = ", ".join(map(str, starved[:_NUM_NAMED]))
        if len(starved) > _NUM_NAMED:
            named += ", ..."
        num_classes = int((all_counts > 0).sum())
        notes.append(
            f"the trusted split has collapsed: {len(starved)} of {num_classes} classes have less "
            f"than a tenth of their share in it (classes {named}); defenses trained on it will "
            "lose these classes"
        )
    zero_fraction = float(np.mean(scores == 0))
    if zero_fraction > 0.5:
        notes.append(
            f"{zero_fraction:.0%} of the scores are exactly 0: the probe's features have "
            "collapsed, and which of these samples are trusted is a matter of their index (D2)"
        )
    return notes
