"""The knockoff+ threshold: which statistics count as finds at a stated false discovery rate.

Source: Barber and Candes, "Controlling the false discovery rate via knockoffs", Annals of
Statistics 2015, Eq. (1.9). Shapes: M samples, T candidates of a threshold.
"""

import math

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.scores.antisymmetric import check_statistics


def knockoff_threshold(statistics_M: np.ndarray, rate: float) -> float:
    """Returns the threshold from which on statistics count as finds.

    On a sample without a handed trigger the sign of W is a fair coin whatever its size. So the
    statistics at or below -t count the false ones among those at or above t, and the threshold is
    the smallest t among the sizes |W| > 0 with
    `(1 + #{W <= -t}) / max(1, #{W >= t}) <= rate`. Where there are no false discoveries at all the
    probability of any find is at most `rate`; a find takes at least 1 / rate positive statistics.

    Args:
        statistics_M: Antisymmetric statistics, finite; larger is more suspicious.
        rate: The false discovery rate q, in [0, 1].

    Returns:
        A number above 0, or infinity where no t will do. Finds have W >= t.

    Raises:
        InputError: For another rate, no statistics, or statistics that are not finite.
    """
    check_in_range("rate", rate, 0, 1)
    statistics_M = check_statistics(statistics_M)
    candidates_T = np.unique(np.abs(statistics_M[statistics_M != 0]))
    rates_T = estimated_rates(statistics_M, candidates_T)
    allowed = candidates_T[rates_T <= rate]
    return float(allowed[0]) if len(allowed) else math.inf


def estimated_rates(statistics_M: np.ndarray, thresholds_T: np.ndarray) -> np.ndarray:
    """Returns the estimated false discovery rate at each of some thresholds above 0, float64 [T].

    The estimate `(1 + #{W <= -t}) / max(1, #{W >= t})` may exceed 1.
    """
    ascending_M = np.sort(statistics_M)
    num_negative_T = np.searchsorted(ascending_M, -thresholds_T, side="right")
    num_below_T = np.searchsorted(ascending_M, thresholds_T, side="left")
    num_positive_T = len(ascending_M) - num_below_T
    rates_T: np.ndarray = (1 + num_negative_T) / np.maximum(1, num_positive_T)
    return rates_T
