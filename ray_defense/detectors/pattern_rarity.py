"""What keeps a rare score: it belongs to a group that stands apart, and is no copy of another.

Shapes: N samples, M of them.
"""

from collections.abc import Iterable

import numpy as np

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.near_copies import copies_of_earlier
from ray_defense.detectors.two_groups import fit_two_groups

_RARE = 0.9  # a rarity above which a sample may come to be flagged


def in_upper_groups(scores_N: np.ndarray, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Returns which samples probably belong to the upper of two groups of their part, bool [N].

    Args:
        scores_N: How strongly samples have a pattern.
        parts: Positions of samples, each with scores of one scale. Others belong to no group.
    """
    in_upper_N = np.zeros(len(scores_N), bool)
    for members in parts:
        groups = fit_two_groups(scores_N[members]) if len(members) > 1 else None
        if groups is not None:
            in_upper_N[members] = groups.posteriors_M > 0.5
    return in_upper_N


def forget_copies(
    rarity_N: np.ndarray, dataset: SuspectDataset, among_N: np.ndarray | None = None
) -> None:
    """Sets the rarity of near-copies of an earlier image to 0, in place.

    Args:
        rarity_N: 1 - p.
        dataset: The samples.
        among_N: The samples among which copies are looked for; None for all.
    """
    is_rare_N = rarity_N > _RARE
    if among_N is not None:
        is_rare_N &= among_N
    rare = np.flatnonzero(is_rare_N)
    rarity_N[rare[copies_of_earlier(dataset, rare)]] = 0
