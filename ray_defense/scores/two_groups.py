"""Two groups of numbers, a large one and a smaller one above it: a mixture of two normal laws.

Both laws have one variance, so that the upper group is no long tail of the lower one. It is fitted
by expectation and maximization (Dempster, Laird and Rubin, 1977), from several starts.

Shapes: M numbers.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

_STARTS = (0.5, 0.9, 0.98, 0.995)  # quantiles above which the upper group begins
_MAX_ROUNDS = 60
_ENOUGH = 1e-4  # a change of all posteriors below which they have settled
_FEWEST = 3.0  # in the upper group
_LARGEST_SHARE = 0.97  # of the upper group
_LEAST_VARIANCE = 1e-12
_FULL_COUNT = 10  # in a smaller upper group, the separation counts for less


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """A fitted mixture."""

    posteriors_M: np.ndarray  # float64, of belonging to the upper group
    separation: float  # of the means, in standard deviations
    log_likelihood: float

    @property
    def count(self) -> float:
        """How many numbers the upper group has."""
        return float(self.posteriors_M.sum())


def fit_two_groups(values_M: np.ndarray) -> TwoGroups | None:
    """Returns the likeliest mixture of those that the starts lead to; None if there is no group.

    Args:
        values_M: Finite numbers, at least two.
    """
    values_M = np.asarray(values_M, np.float64)
    best = None
    for quantile in _STARTS:
        fitted = _fit_from(values_M, np.quantile(values_M, quantile))
        if fitted is not None and (best is None or fitted.log_likelihood > best.log_likelihood):
            best = fitted
    return best


def _fit_from(values_M: np.ndarray, lower_end: float) -> TwoGroups | None:
    """Returns the mixture whose upper group starts as the numbers above `lower_end`."""
    upper_M = (values_M > lower_end).astype(np.float64)
    groups = None
    for _ in range(_MAX_ROUNDS):
        share = upper_M.mean()
        if share * len(values_M) < _FEWEST or share > _LARGEST_SHARE:
            return None
        groups = _update(values_M, upper_M)
        change = np.abs(groups.posteriors_M - upper_M).max()
        upper_M = groups.posteriors_M
        if change < _ENOUGH:
            break
    if groups is None or groups.count < _FEWEST:
        return None
    return groups


def _update(values_M: np.ndarray, upper_M: np.ndarray) -> TwoGroups:
    """Returns the mixture that is the likeliest under some posteriors, with its own posteriors."""
    share = upper_M.mean()
    mean_above, variance_above = _moments(values_M, upper_M)
    mean_below, variance_below = _moments(values_M, 1 - upper_M)
    variance = share * variance_above + (1 - share) * variance_below
    variance = max(variance, _LEAST_VARIANCE)
    above_M = np.log(share) + _log_normal(values_M, mean_above, variance)
    below_M = np.log(1 - share) + _log_normal(values_M, mean_below, variance)
    posteriors_M = 1 / (1 + np.exp(np.clip(below_M - above_M, -50, 50)))
    few = min(1.0, sqrt(posteriors_M.sum() / _FULL_COUNT))
    return TwoGroups(
        posteriors_M=posteriors_M,
        separation=few * (mean_above - mean_below) / sqrt(variance),
        log_likelihood=float(np.logaddexp(above_M, below_M).sum()),
    )


def _moments(values_M: np.ndarray, weights_M: np.ndarray) -> tuple[float, float]:
    total = weights_M.sum()
    mean = (weights_M * values_M).sum() / total
    variance = (weights_M * (values_M - mean) ** 2).sum() / total
    return float(mean), float(variance)


def _log_normal(values_M: np.ndarray, mean: float, variance: float) -> np.ndarray:
    """Returns the log-densities of a normal law, less a constant that all of them have."""
    densities_M: np.ndarray = -((values_M - mean) ** 2) / (2 * variance) - np.log(variance) / 2
    return densities_M
