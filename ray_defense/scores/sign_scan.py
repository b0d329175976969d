"""The evidence of an antisymmetric statistic as one p-value: sign tests among the largest |W|.

Knockoff+ says which samples to flag; this says how sure it is that there is anything to flag.
"""

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.scores.antisymmetric import check_statistics

_SMALLEST_SCALE = 8  # fewer signs than this are never significant


def sign_scan_p_value(statistics_M: np.ndarray, chance: float = 0.5) -> float:
    """Returns how probable signs as lopsided as those of the largest |W| are without a trigger.

    Among the k samples with the largest |W| (zeros left out), the number of positive signs is
    compared with a binomial law, for k = 8, 16, 32, ... and all; the smallest p-value is multiplied
    by the number of scales (Bonferroni). Of equal |W|, the one at the earlier position comes first.

    Args:
        statistics_M: Antisymmetric statistics, finite; larger is more suspicious.
        chance: The highest probability of a positive sign that a sample without a trigger may have,
            in [0.5, 1). Above 1/2 it leaves room for a slight handedness of the source.

    Returns:
        A number in [0, 1]; 1 where there are fewer than 8 signs.

    Raises:
        InputError: For another chance, no statistics, or statistics that are not finite.
    """
    check_in_range("chance", chance, 0.5, 1 - 1e-9)
    # Its import takes most of a second.
    from scipy.stats import binom

    statistics_M = check_statistics(statistics_M)
    order = np.argsort(-np.abs(statistics_M), kind="stable")
    is_positive = statistics_M[order] > 0
    num_signs = int(np.count_nonzero(statistics_M))
    scales = scan_scales(num_signs)
    if not scales:
        return 1.0
    num_positive = np.cumsum(is_positive)[np.array(scales) - 1]
    p_values = binom.sf(num_positive - 1, scales, chance)
    return float(min(1.0, len(scales) * p_values.min()))


def scan_scales(num_signs: int) -> list[int]:
    """Returns how many of the largest |W| are looked at: 8, 16, 32, ... and all of them."""
    scales = []
    scale = _SMALLEST_SCALE
    while scale < num_signs:
        scales.append(scale)
        scale *= 2
    if num_signs >= _SMALLEST_SCALE:
        scales.append(num_signs)
    return scales
