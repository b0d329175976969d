"""The trusted, poisoned and uncertain splits from scores, Algorithms 1 and 2, by exact counts (D2)."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in the scores, int64, ascending; the three are disjoint and together are all positions."""

    trusted: np.ndarray  # the lowest scores, the paper's D_c-hat
    poisoned: np.ndarray  # the highest scores, the paper's D_p-hat
    uncertain: np.ndarray  # the rest, the paper's D_u-hat

    def names(self) -> np.ndarray:
        """Returns the name of the part that each position is in, text [N]."""
        named = np.full(len(self.trusted) + len(self.poisoned) + len(self.uncertain), "uncertain", dtype="U9")
        named[self.trusted], named[self.poisoned] = "trusted", "poisoned"
        return named


def split_by_score(scores: np.ndarray, clean_fraction: float, poison_fraction: float) -> Split:
    """Returns the floor(clean_fraction N) lowest scores as trusted, the floor(poison_fraction N) highest as poisoned.

    Of equal scores the one at the later position is the higher. Scores are finite, [N], N >= 1; fractions lie in [0, 1]
    and sum to at most 1, read as the decimals they print as (0.29 of 100 is 29). Raises Refused otherwise. Source: D2.
    """
    in_range("clean_fraction", clean_fraction, 0, 1)
    in_range("poison_fraction", poison_fraction, 0, 1)
    clean, poison = (Fraction(repr(float(fraction))) for fraction in (clean_fraction, poison_fraction))
    if clean + poison > 1:
        raise Refused(f"clean_fraction {clean_fraction} and poison_fraction {poison_fraction} sum above 1: lower one")
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not len(scores):
        raise Refused(f"there is nothing to split in scores of shape {list(scores.shape)}: give [N] with N >= 1")
    if not np.isfinite(scores).all():
        position = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise Refused(f"score {scores[position]} at position {position} is not finite: look for a diverged probe")
    order = np.argsort(scores, kind="stable").astype(np.int64)
    num_trusted, num_kept = floor(clean * len(scores)), len(scores) - floor(poison * len(scores))
    parts = order[:num_trusted], order[num_kept:], order[num_trusted:num_kept]
    return Split(*(np.sort(part) for part in parts))
