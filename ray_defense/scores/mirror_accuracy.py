"""mid50: how often a symmetry test is right on the samples that tell it least.

A trigger moves the few samples with the largest |W|. A network that is right about all the others,
too, has learned a handedness of the source (traces of JPEG, digits, text), so that the signs of W
are no fair coins and knockoff+ does not hold.
"""

import numpy as np

from ray_defense.scores.antisymmetric import check_statistics

_MIDDLE_SHARE = 0.5


def middle_accuracy(statistics_M: np.ndarray) -> float:
    """Returns the accuracy among the half of the samples with the smallest |W|.

    The samples are the floor(0.5 M) (at least 1) first in the order of |W|, then of position. The
    network is right about a sample if W > 0, and half right if W = 0.

    Args:
        statistics_M: Antisymmetric statistics, finite: the log-odds of an image being as it is,
            less those of its mirror image.

    Returns:
        A number in [0, 1]; about 1/2 where the source is symmetric.

    Raises:
        InputError: For no statistics, or statistics that are not finite.
    """
    statistics_M = check_statistics(statistics_M)
    num_middle = max(1, int(_MIDDLE_SHARE * len(statistics_M)))
    order = np.argsort(np.abs(statistics_M), kind="stable")
    middle = statistics_M[order[:num_middle]]
    num_right = np.count_nonzero(middle > 0) + 0.5 * np.count_nonzero(middle == 0)
    return float(num_right / num_middle)
