"""Coherence of seeds: whether what a detector found looks alike, as images with one trigger do.

Seeds are the samples that a detector finds most suspicious. Networks learn, out of fold, to tell
seeds from the rest; S is the log-odds they give to held-out samples. Images that share a trigger
are learned easily. So are images that share a color, which is why S of the seeds is compared with S
of pseudo-seeds: as many samples from the next band of the same detector's scores, learned by
networks of their own in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError


@dataclass(frozen=True)
class Coherence:
    """How far seeds stand above pseudo-seeds."""

    auroc_of_bands: tuple[float, ...]  # seeds against the pseudo-seeds of each band, nearest first

    @property
    def auroc(self) -> float:
        """The highest AUROC of a band.

        The nearest bands may hold samples with the trigger, too, where it is frequent; these are
        learned as easily as the seeds. One band without it is enough to show that seeds stand out.
        """
        return max(self.auroc_of_bands)


def seed_coherence(seed_scores: np.ndarray, pseudo_scores: Sequence[np.ndarray]) -> Coherence:
    """Returns whether held-out seeds score above pseudo-seeds from the next score bands.

    Args:
        seed_scores: S of each seed, from the network that did not see it, float [n].
        pseudo_scores: For each band, S of each of its pseudo-seeds, from the network that learned
            the other pseudo-seeds of this band and did not see it, float.

    Returns:
        The AUROC for each band. 1/2 says that the seeds are no more alike than their neighbors.

    Raises:
        InputError: If there is no band, no seed, an empty band, or a score that is not finite.
    """
    if not len(pseudo_scores):
        raise InputError("coherence needs at least one band of pseudo-seeds")
    aurocs = []
    for band_scores in pseudo_scores:
        aurocs.append(area_under_roc(seed_scores, band_scores))
    return Coherence(tuple(aurocs))


def next_bands(scores: np.ndarray, num_seeds: int, num_bands: int) -> list[np.ndarray]:
    """Returns the positions of pseudo-seeds: the bands below the seeds in the order of scores.

    Of two equal scores, the one at the later position counts as higher (D2). The seeds are the
    num_seeds highest; each band has as many samples, the last may have fewer, and no band is empty.

    Args:
        scores: Scores by which the seeds were chosen, finite [N].
        num_seeds: How many seeds there are, at least 1.
        num_bands: How many bands there are at most, at least 1.

    Returns:
        int64, ascending positions for each band, the nearest band first.
    """
    check_at_least("num_seeds", num_seeds, 1)
    check_at_least("num_bands", num_bands, 1)
    descending = np.argsort(scores, kind="stable").astype(np.int64)[::-1]
    bands = []
    for band in range(1, num_bands + 1):
        members = descending[band * num_seeds : (band + 1) * num_seeds]
        if len(members):
            bands.append(np.sort(members))
    return bands


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Returns the share of pairs in which the positive score is the higher; a tie counts half.

    Args:
        positive: Finite scores, at least one.
        negative: Finite scores, at least one.

    Raises:
        InputError: If one of them is empty or holds what is not finite.
    """
    positive = np.asarray(positive, dtype=np.float64)
    negative = np.asarray(negative, dtype=np.float64)
    if not len(positive) or not len(negative):
        raise InputError(
            f"an AUROC needs scores of both kinds, not {len(positive)} and {len(negative)}"
        )
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise InputError("an AUROC needs finite scores: look for a diverged network")
    ascending = np.sort(negative)
    num_below = np.searchsorted(ascending, positive, side="left")
    num_not_above = np.searchsorted(ascending, positive, side="right")
    # Twice the wins, so that all sums are exact.
    twice_wins = int(num_below.sum()) + int(num_not_above.sum())
    return twice_wins / (2 * len(positive) * len(negative))
