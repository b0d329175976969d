"""Seeds: the samples of which a detector is most certain, and pseudo-seeds to compare them with."""

from dataclasses import dataclass

import numpy as np

from ray_defense.scores.coherence import next_bands
from ray_defense.scores.knockoff import knockoff_threshold


@dataclass(frozen=True)
class SeedRule:
    """Which samples are seeds, by one column of the evidence."""

    column: str
    rate: float = 0.05  # the false discovery rate, for an antisymmetric statistic
    num_highest: int = 0  # the so many highest instead, where it is not 0
    above_zero: bool = False  # all above 0 instead


def choose_seeds(rule: SeedRule, scores_N: np.ndarray) -> np.ndarray:
    """Returns the positions of the seeds, int64, ascending.

    Args:
        rule: Which samples are seeds.
        scores_N: The column of the rule, finite.
    """
    if rule.above_zero:
        return np.flatnonzero(scores_N > 0)
    if rule.num_highest:
        order = np.argsort(scores_N, kind="stable")
        return np.sort(order[-rule.num_highest :])
    return np.flatnonzero(scores_N >= knockoff_threshold(scores_N, rule.rate))


def pseudo_seeds(scores_N: np.ndarray, num_seeds: int, band: int) -> np.ndarray:
    """Returns the positions of the pseudo-seeds of a band, int64, ascending.

    Args:
        scores_N: The scores by which the seeds were chosen.
        num_seeds: How many seeds there are; without any there are no pseudo-seeds.
        band: From 1, the nearest.

    Returns:
        Positions; none where the scores end before that band.
    """
    bands: list[np.ndarray] = []
    if num_seeds:
        bands = next_bands(scores_N, num_seeds, band)
    return bands[band - 1] if len(bands) >= band else np.zeros(0, dtype=np.int64)
