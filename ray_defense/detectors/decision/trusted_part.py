"""Which samples are trusted: in every label the least suspicious of those that nobody flagged."""

import numpy as np

from ray_defense.scores.split import count_of_fraction


def balanced_trusted(
    scores_N: np.ndarray, labels_N: np.ndarray, excluded_N: np.ndarray, fraction: float
) -> np.ndarray:
    """Returns the positions of the trusted samples, int64, ascending.

    Of each label, the floor(fraction n) lowest scores of its n samples that are not excluded are
    trusted, where the fraction is the decimal that it prints as. Of two equal scores, the one at
    the later position counts as higher (D2).

    Args:
        scores_N: Finite scores; larger is more suspicious.
        labels_N: Labels as received, int.
        excluded_N: Samples that are not trusted whatever their score, bool.
        fraction: In [0, 1].
    """
    trusted_N = np.zeros(len(scores_N), bool)
    for label in np.unique(labels_N):
        members = np.flatnonzero((labels_N == label) & ~excluded_N)
        num_trusted = count_of_fraction(fraction, len(members))
        order = np.argsort(scores_N[members], kind="stable")
        trusted_N[members[order[:num_trusted]]] = True
    return np.flatnonzero(trusted_N).astype(np.int64)
