"""Checks of an antisymmetric statistic W: on a null sample its sign is a fair coin."""

import numpy as np

from ray_defense.core.errors import InputError


def check_statistics(statistics_M: np.ndarray) -> np.ndarray:
    """Returns the statistics as float64 [M], M >= 1.

    Raises:
        InputError: For another shape, or a statistic that is not finite.
    """
    statistics_M = np.asarray(statistics_M, dtype=np.float64)
    if statistics_M.ndim != 1 or not len(statistics_M):
        shape = list(statistics_M.shape)
        raise InputError(f"statistics must be [M] with M >= 1, not {shape}")
    if not np.isfinite(statistics_M).all():
        position = int(np.flatnonzero(~np.isfinite(statistics_M))[0])
        raise InputError(
            f"statistic {statistics_M[position]} at position {position} is not finite: "
            "look for a diverged network"
        )
    return statistics_M
