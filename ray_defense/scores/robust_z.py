"""Scores in units of the spread of their label, by median and median absolute deviation."""

import numpy as np

from ray_defense.scores.labeled_rows import check_labeled_rows

# The median absolute deviation of a normal law is its standard deviation over this.
_NORMAL_RATIO = 1.4826


def robust_z_within_label(scores_ML: np.ndarray, labels_M: np.ndarray) -> np.ndarray:
    """Returns `(score - median) / (1.4826 MAD)` within the label, for each column.

    Where more than half of a label's scores are equal, so that the MAD is 0, the standard deviation
    takes its place; where all are equal, z is 0.

    Args:
        scores_ML: Finite scores of M samples, one column for each of L layers.
        labels_M: Labels as received, int.

    Returns:
        float64 [M, L].

    Raises:
        InputError: For other shapes, or scores that are not finite.
    """
    scores_ML, labels_M = check_labeled_rows("scores", scores_ML, labels_M)
    z_ML = np.zeros(scores_ML.shape)
    for label in np.unique(labels_M):
        members = labels_M == label
        deviations = scores_ML[members].astype(np.float64)
        spread_L = deviations.std(axis=0)
        deviations = deviations - np.median(deviations, axis=0)
        scale_L = _NORMAL_RATIO * np.median(np.abs(deviations), axis=0)
        scale_L = np.where(scale_L > 0, scale_L, spread_L)
        has_spread_L = scale_L > 0
        z_ML[members] = np.where(has_spread_L, deviations / np.where(has_spread_L, scale_L, 1), 0)
    return z_ML
