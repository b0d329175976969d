"""How many of the samples that knockoff+ flags are true finds: an interval from the other tail."""

from dataclasses import dataclass

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.scores.antisymmetric import check_statistics


@dataclass(frozen=True)
class FindInterval:
    """How many flagged samples have a trigger, with its bounds."""

    estimate: int
    low: int
    high: int


def find_interval(
    statistics_M: np.ndarray, threshold: float, confidence: float = 0.95
) -> FindInterval:
    """Returns how many of the samples with W >= threshold have a trigger.

    Samples without one lie in the two tails like fair coins: while r of them fall into the negative
    tail, a negative binomial number of them falls into the positive one. Its quantiles for r =
    #{W <= -t} + 1 and r = #{W <= -t} bound the number of false finds from above and below; the
    estimate takes #{W <= -t} of them.

    Args:
        statistics_M: Antisymmetric statistics, finite.
        threshold: Above 0; infinity flags nothing.
        confidence: Of the interval, in (0, 1).

    Raises:
        InputError: For another confidence, no statistics, or statistics that are not finite.
    """
    check_in_range("confidence", confidence, 1e-9, 1 - 1e-9)
    # Its import takes most of a second.
    from scipy.stats import nbinom

    statistics_M = check_statistics(statistics_M)
    num_flagged = int(np.count_nonzero(statistics_M >= threshold))
    num_opposite = int(np.count_nonzero(statistics_M <= -threshold))
    tail = (1 - confidence) / 2
    most_false = int(nbinom.ppf(1 - tail, num_opposite + 1, 0.5))
    fewest_false = 0
    if num_opposite:
        fewest_false = int(nbinom.ppf(tail, num_opposite, 0.5))
    return FindInterval(
        estimate=max(0, num_flagged - num_opposite),
        low=max(0, num_flagged - most_false),
        high=max(0, num_flagged - fewest_false),
    )
