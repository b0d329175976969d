"""The first two principal components of features.

Shapes: M samples, D features.
"""

import numpy as np


def principal_components(features_MD: np.ndarray) -> np.ndarray:
    """Returns the coordinates of samples along the two directions in which they vary most.

    A direction and its opposite are equally good: the one is taken whose largest entry, in absolute
    value, is positive, so that equal features give equal pictures.

    Args:
        features_MD: float, at least two features.

    Returns:
        float64 [M, 2]; the first column has the larger variance.
    """
    centered_MD = features_MD.astype(np.float64) - features_MD.mean(axis=0, dtype=np.float64)
    _, directions_DD = np.linalg.eigh(centered_MD.T @ centered_MD)
    directions_D2 = directions_DD[:, [-1, -2]]
    largest_2 = np.abs(directions_D2).argmax(axis=0)
    signs_2 = np.sign(directions_D2[largest_2, [0, 1]])
    coordinates: np.ndarray = centered_MD @ (directions_D2 * signs_2)
    return coordinates
