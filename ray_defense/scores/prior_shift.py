"""Posteriors under the shares that samples really have, not those that a network was trained with.

A network that learned with one positive sample in four gives log-odds for that share. Among the
samples that it is asked about, positive ones may be rare, or frequent. Their share is estimated by
expectation and maximization: the mean of the posteriors that follow from it.

Source: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 2002.
"""

from dataclasses import dataclass

import numpy as np

from ray_defense.core.checks import check_in_range

_MAX_ROUNDS = 1000
_ENOUGH = 1e-9  # a change of the share below which it has settled
_MAX_LOG_ODDS = 50.0  # beyond, exp says nothing more


@dataclass(frozen=True, eq=False)
class ShiftedPosteriors:
    """The share of positive samples, and the probability of each sample to be one."""

    share: float
    posteriors_M: np.ndarray  # float64 in [0, 1]


def shift_prior(log_odds_M: np.ndarray, learned_share: float) -> ShiftedPosteriors:
    """Returns the estimated share of positive samples, and their posteriors under it.

    Args:
        log_odds_M: What the network gives to the samples, finite, at least one.
        learned_share: The share of positive samples that it was trained with, in (0, 1).

    Raises:
        InputError: For another share.
    """
    check_in_range("learned_share", learned_share, 1e-6, 1 - 1e-6)
    clipped_M = np.clip(np.asarray(log_odds_M, np.float64), -_MAX_LOG_ODDS, _MAX_LOG_ODDS)
    likelihood_ratios_M = np.exp(clipped_M) * (1 - learned_share) / learned_share
    share = learned_share
    for _ in range(_MAX_ROUNDS):
        posteriors_M = _posteriors(likelihood_ratios_M, share)
        before = share
        share = float(posteriors_M.mean())
        if abs(share - before) <= _ENOUGH:
            break
    return ShiftedPosteriors(share, _posteriors(likelihood_ratios_M, share))


def _posteriors(likelihood_ratios_M: np.ndarray, share: float) -> np.ndarray:
    weighted_M = likelihood_ratios_M * share
    posteriors_M: np.ndarray = weighted_M / (weighted_M + (1 - share))
    return posteriors_M
