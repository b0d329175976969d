"""What keeps a rare score: it belongs to a group that stands apart, and is no copy of another.

Shapes: N samples, M of them.
"""

from collections.abc import Iterable

import numpy as np

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.near_copies import copies_of_earlier
from ray_defense.scores.two_groups import fit_two_groups

_RARE = 0.9  # a rarity above which a sample may come to be flagged


def keep_upper_groups(
    rarity_N: np.ndarray,
    scores_N: np.ndarray,
    groups: Iterable[np.ndarray],
    dataset: SuspectDataset,
) -> None:
    """Sets the rarity of the other samples to 0.

    Args:
        rarity_N: 1 - p, which is changed in place.
        scores_N: How strongly samples have the pattern.
        groups: Positions of samples, each with scores of one scale. Of each, the upper of two
            groups of scores is kept, and of near-copies of one image the first.
        dataset: The samples.
    """
    rare = []
    for members in groups:
        rarity_N[members[~_in_upper_group(scores_N[members])]] = 0
        rare.append(members[rarity_N[members] > _RARE])
    rare_positions = np.sort(np.concatenate(rare))
    rarity_N[rare_positions[copies_of_earlier(dataset, rare_positions)]] = 0


def _in_upper_group(scores_M: np.ndarray) -> np.ndarray:
    """Returns which samples probably belong to the upper of two groups, bool [M]."""
    groups = fit_two_groups(scores_M) if len(scores_M) > 1 else None
    if groups is None:
        return np.zeros(len(scores_M), bool)
    in_upper_M: np.ndarray = groups.posteriors_M > 0.5
    return in_upper_M
