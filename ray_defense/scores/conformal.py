"""Conformal p-values: how rare a score would be among reference samples.

Sources: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Bates, Candes,
Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 2023,
who show that Benjamini-Hochberg holds its rate on p-values that share a reference.
"""

import numpy as np

from ray_defense.core.errors import InputError


def conformal_p_values(scores_M: np.ndarray, reference_scores: np.ndarray) -> np.ndarray:
    """Returns a p-value for each sample: `(1 + #{reference >= score}) / (1 + #reference)`.

    Reference scores that tie with a sample count against it, so that ties make p-values larger,
    never smaller. If a sample and the reference samples are exchangeable, and none of them chose
    the score, its p-value is at most p with probability at most p. The smallest possible p-value is
    1 / (1 + #reference); samples with a trigger among the reference make all p-values larger.

    Args:
        scores_M: Scores of the samples in question, finite; larger is more suspicious.
        reference_scores: Scores of held-out reference samples, finite, at least one.

    Returns:
        float64 [M], each in (0, 1].

    Raises:
        InputError: If there is no reference, or a score is not finite.
    """
    scores_M = np.asarray(scores_M, dtype=np.float64)
    reference_scores = np.asarray(reference_scores, dtype=np.float64)
    if reference_scores.ndim != 1 or not len(reference_scores):
        shape = list(reference_scores.shape)
        raise InputError(f"conformal p-values need [n] reference scores, n >= 1, not {shape}")
    if not (np.isfinite(scores_M).all() and np.isfinite(reference_scores).all()):
        raise InputError("conformal p-values need finite scores: look for a diverged network")
    num_below_M = np.searchsorted(np.sort(reference_scores), scores_M, side="left")
    num_reference = len(reference_scores)
    p_values_M: np.ndarray = (1 + num_reference - num_below_M) / (1 + num_reference)
    return p_values_M
