"""Trusted, flagged and uncertain samples from scores, Algorithms 1 and 2, by exact counts (D2)."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError


@dataclass(frozen=True, eq=False)
class SplitPositions:
    """Positions in the scores, int64, ascending; each position is in exactly one of the parts."""

    trusted: np.ndarray  # the lowest scores, the paper's D_c-hat
    flagged: np.ndarray  # the highest scores, the paper's D_p-hat
    uncertain: np.ndarray  # the rest, the paper's D_u-hat

    def part_names(self) -> np.ndarray:
        """Returns text [N]: "trusted", "flagged" or "uncertain" for each position."""
        num_samples = len(self.trusted) + len(self.flagged) + len(self.uncertain)
        names = np.full(num_samples, "uncertain", dtype="U9")
        names[self.trusted] = "trusted"
        names[self.flagged] = "flagged"
        return names


def split_by_score(
    scores: np.ndarray, trusted_fraction: float, flagged_fraction: float
) -> SplitPositions:
    """Returns the lowest scores as trusted and the highest as flagged, by exact counts.

    There are floor(trusted_fraction N) trusted and floor(flagged_fraction N) flagged samples, where
    a fraction is the decimal that it prints as: 0.29 of 100 is 29. Of two equal scores, the one at
    the later position counts as higher. Source: D2.

    Args:
        scores: Finite scores [N], N >= 1.
        trusted_fraction: alpha_c, in [0, 1].
        flagged_fraction: alpha_p, in [0, 1]; the two sum to at most 1.

    Raises:
        InputError: For fractions outside of their range, no scores, or scores that are not finite.
    """
    check_in_range("trusted_fraction", trusted_fraction, 0, 1)
    check_in_range("flagged_fraction", flagged_fraction, 0, 1)
    if _exact(trusted_fraction) + _exact(flagged_fraction) > 1:
        raise InputError(
            f"trusted_fraction {trusted_fraction} and flagged_fraction {flagged_fraction} "
            "sum above 1: lower one"
        )
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not len(scores):
        shape = list(scores.shape)
        raise InputError(
            f"there is nothing to split in scores of shape {shape}: give [N] with N >= 1"
        )
    if not np.isfinite(scores).all():
        position = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InputError(
            f"score {scores[position]} at position {position} is not finite: "
            "look for a diverged probe"
        )
    order = np.argsort(scores, kind="stable").astype(np.int64)
    num_trusted = count_of_fraction(trusted_fraction, len(scores))
    num_flagged = count_of_fraction(flagged_fraction, len(scores))
    first_flagged = len(scores) - num_flagged
    return SplitPositions(
        trusted=np.sort(order[:num_trusted]),
        flagged=np.sort(order[first_flagged:]),
        uncertain=np.sort(order[num_trusted:first_flagged]),
    )


def count_of_fraction(fraction: float, num_samples: int) -> int:
    """Returns floor(fraction n), where the fraction is the decimal that it prints as (D2)."""
    return floor(_exact(fraction) * num_samples)


def _exact(fraction: float) -> Fraction:
    return Fraction(repr(float(fraction)))
