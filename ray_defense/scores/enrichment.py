"""How many times more frequent some samples are among the highest scores than a reference is."""

import numpy as np

from ray_defense.scores.conformal import conformal_p_values


def enrichment(scores_M: np.ndarray, reference_scores: np.ndarray, fewest: int) -> float:
    """Returns the largest ratio of both shares above a threshold, over all thresholds.

    It is the inverse of the smallest rate at which Benjamini-Hochberg on conformal p-values rejects
    at least `fewest` samples. Without a reference, or with fewer samples, it is 1.

    Args:
        scores_M: Scores of the samples in question, finite.
        reference_scores: Scores of reference samples, finite.
        fewest: How many samples must be above the threshold, at least 1.
    """
    if len(scores_M) < fewest or not len(reference_scores):
        return 1.0
    ascending_M = np.sort(conformal_p_values(scores_M, reference_scores))
    shares_M = np.arange(1, len(scores_M) + 1) / len(scores_M)
    ratios_M = shares_M / ascending_M
    return float(ratios_M[fewest - 1 :].max())
