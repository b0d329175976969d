"""Folds: which samples a network must not learn from, as a function of seed and index (D10)."""

import numpy as np

from ray_defense.core.random import stream, uniform


def fold_key(seed: int, name: str) -> int:
    """Returns the random stream that deals the samples to the folds of some networks."""
    return stream(seed, name, "folds")


def folds_of(index: np.ndarray, key: int, num_folds: int) -> np.ndarray:
    """Returns the fold of each sample.

    Args:
        index: The indices of the samples, int [N].
        key: See `fold_key`.
        num_folds: At least 1.

    Returns:
        int64 [N] in [0, num_folds); each value depends on its own index alone.
    """
    draws = uniform(key, index, 1)[:, 0]
    # A draw just below 1 must not give num_folds.
    return np.minimum((draws * num_folds).astype(np.int64), num_folds - 1)
