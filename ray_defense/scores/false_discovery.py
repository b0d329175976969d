"""Many tests at once: Benjamini-Hochberg bounds the share of false finds, Bonferroni any find.

Sources: Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 1995; Bonferroni's
inequality.
"""

import numpy as np

from ray_defense.core.checks import check_in_range


def benjamini_hochberg(p_values_M: np.ndarray, rate: float) -> np.ndarray:
    """Returns which of M hypotheses are rejected, bool [M].

    Rejected are the k smallest p-values, k the largest number for which the k-th smallest is at
    most `rate * k / M`. The expected share of true hypotheses among them is at most `rate` if the
    p-values are independent, or positively dependent as conformal ones with one reference are.

    Args:
        p_values_M: In [0, 1].
        rate: The false discovery rate, in [0, 1].

    Raises:
        InputError: For another rate, or a p-value outside of [0, 1].
    """
    check_in_range("rate", rate, 0, 1)
    p_values_M = _check_p_values(p_values_M)
    num_tests = len(p_values_M)
    ascending_M = np.sort(p_values_M)
    bounds_M = rate * np.arange(1, num_tests + 1) / num_tests
    passing = np.flatnonzero(ascending_M <= bounds_M)
    if not len(passing):
        return np.zeros(num_tests, bool)
    rejected_M: np.ndarray = p_values_M <= ascending_M[passing[-1]]
    return rejected_M


def bonferroni(p_values_M: np.ndarray) -> np.ndarray:
    """Returns p-values that hold for M tests at once: `min(1, M p)`, float64 [M].

    The probability that any of those of true hypotheses is at most p is at most p, however the
    tests depend on each other.
    """
    p_values_M = _check_p_values(p_values_M)
    adjusted_M: np.ndarray = np.minimum(1.0, len(p_values_M) * p_values_M)
    return adjusted_M


def _check_p_values(p_values_M: np.ndarray) -> np.ndarray:
    p_values_M = np.asarray(p_values_M, dtype=np.float64)
    for p_value in (p_values_M.min(initial=1), p_values_M.max(initial=0)):
        check_in_range("a p-value", float(p_value), 0, 1)
    return p_values_M
