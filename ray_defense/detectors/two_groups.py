"""Two groups of numbers, a large one and a smaller one above it: a mixture of two normal laws.

Both laws have one variance, so that the upper group is no long tail of the lower one. It is fitted
by expectation and maximization (Dempster, Laird and Rubin, 1977), from several starts. With one
variance the log-odds of belonging to the upper group are a straight line over the numbers, so a
round needs no densities. Many rows of numbers are fitted together.

Shapes: M numbers of a row, S rows, R = 4 S fits, one from each start, E fits that have ended.
"""

from dataclasses import dataclass

import numpy as np
import torch

_STARTS = (0.5, 0.9, 0.98, 0.995)  # quantiles above which the upper group begins
_MAX_ROUNDS = 60
_ENOUGH = 1e-4  # a change of all posteriors below which they have settled
_FEWEST = 3.0  # in the upper group
_LARGEST_SHARE = 0.97  # of the upper group
_LEAST_VARIANCE = 1e-12
_TINY = 1e-300
_FULL_COUNT = 10  # in a smaller upper group, the separation counts for less
_NUMBERS_AT_ONCE = 1 << 17  # in all fits of a part of the rows
_NONE = -torch.inf  # the log-likelihood of a fit that has lost its upper group


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """A fitted mixture."""

    posteriors_M: np.ndarray  # float64, of belonging to the upper group
    separation: float  # of the means, in standard deviations

    @property
    def count(self) -> float:
        """How many numbers the upper group has."""
        return float(self.posteriors_M.sum())


@dataclass(frozen=True, eq=False)
class GroupsOfRows:
    """The fitted mixtures of rows."""

    posteriors_SM: torch.Tensor  # float64, of belonging to the upper group; 0 in rows without one
    separation_S: torch.Tensor  # float64, of the means, in standard deviations; -1 without groups
    log_likelihood_S: torch.Tensor  # float64; -inf without groups

    @property
    def is_found_S(self) -> torch.Tensor:
        """Which rows have two groups."""
        return self.log_likelihood_S > _NONE


def fit_two_groups(values_M: np.ndarray) -> TwoGroups | None:
    """Returns the likeliest mixture of those that the starts lead to; None if there is no group.

    Args:
        values_M: Finite numbers, at least two.
    """
    groups = fit_rows(torch.from_numpy(np.array(values_M, np.float64))[None])
    if not groups.is_found_S[0]:
        return None
    return TwoGroups(
        posteriors_M=groups.posteriors_SM[0].numpy(),
        separation=float(groups.separation_S[0]),
    )


def fit_rows(values_SM: torch.Tensor) -> GroupsOfRows:
    """Returns, of each row, the likeliest mixture of those that the starts lead to.

    Args:
        values_SM: Finite numbers, at least two in a row.
    """
    values_SM = values_SM.double()
    num_rows = max(1, _NUMBERS_AT_ONCE // (len(_STARTS) * values_SM.shape[1]))
    parts = [_fit_part(part_SM) for part_SM in torch.split(values_SM, num_rows)]
    return GroupsOfRows(
        posteriors_SM=torch.cat([part.posteriors_SM for part in parts]),
        separation_S=torch.cat([part.separation_S for part in parts]),
        log_likelihood_S=torch.cat([part.log_likelihood_S for part in parts]),
    )


def _fit_part(values_SM: torch.Tensor) -> GroupsOfRows:
    standard_SM = values_SM - values_SM.mean(1, keepdim=True)
    standard_SM /= standard_SM.std(1, correction=0, keepdim=True) + _TINY
    quantiles_Q = standard_SM.new_tensor(_STARTS)
    lower_end_SQ = torch.quantile(standard_SM, quantiles_Q, dim=1).T
    upper_SQM = (standard_SM[:, None] > lower_end_SQ[:, :, None]).to(standard_SM.dtype)
    fits = _Fits(standard_SM.repeat_interleave(len(_STARTS), 0), upper_SQM.flatten(0, 1))
    fits.run()
    best = fits.log_likelihood_R.reshape(-1, len(_STARTS)).argmax(1)
    chosen = torch.arange(len(values_SM), device=best.device) * len(_STARTS) + best
    return GroupsOfRows(
        posteriors_SM=fits.upper_RM[chosen],
        separation_S=fits.separation_R[chosen],
        log_likelihood_S=fits.log_likelihood_R[chosen],
    )


@dataclass(frozen=True)
class _Laws:
    """What fits say of both groups of standard numbers, each [R, 1]."""

    share: torch.Tensor  # of the upper group
    above: torch.Tensor  # mean of the upper group
    below: torch.Tensor
    variance: torch.Tensor

    @classmethod
    def of(cls, values_RM: torch.Tensor, upper_RM: torch.Tensor) -> "_Laws":
        """Returns the likeliest laws under some posteriors of numbers of mean 0 and variance 1."""
        share = upper_RM.mean(1, keepdim=True)
        mean_of_product = (upper_RM * values_RM).mean(1, keepdim=True)
        above = mean_of_product / share
        below = -mean_of_product / (1 - share)
        variance = 1 - share * above.square() - (1 - share) * below.square()
        return cls(share, above, below, variance.clamp(min=_LEAST_VARIANCE))

    def chosen(self, is_chosen_R: torch.Tensor) -> "_Laws":
        """Returns the laws of some fits."""
        return _Laws(
            self.share[is_chosen_R],
            self.above[is_chosen_R],
            self.below[is_chosen_R],
            self.variance[is_chosen_R],
        )

    def log_odds(self, values_RM: torch.Tensor) -> torch.Tensor:
        """Returns the log-odds of belonging to the upper group, [R, M]."""
        slope = (self.above - self.below) / self.variance
        middle = (self.above + self.below) / 2
        prior = torch.log(self.share / (1 - self.share))
        return torch.addcmul(prior - slope * middle, values_RM, slope)

    def log_likelihood(self, values_RM: torch.Tensor) -> torch.Tensor:
        """Returns the log-likelihood of all numbers, less a constant that all fits have, [R]."""
        squares_RM = (values_RM - self.below).square() / (2 * self.variance)
        below_RM = torch.log(1 - self.share) - squares_RM - self.variance.log() / 2
        either_RM = below_RM + torch.nn.functional.softplus(self.log_odds(values_RM))
        return either_RM.sum(1)


class _Fits:
    """Fits under way. A fit that settles, or loses its upper group, is left as it is."""

    def __init__(self, values_RM: torch.Tensor, upper_RM: torch.Tensor):
        self.values_RM = values_RM
        self.upper_RM = upper_RM
        self.log_likelihood_R = values_RM.new_full((len(values_RM),), _NONE)
        self.separation_R = values_RM.new_full((len(values_RM),), -1.0)

    def run(self) -> None:
        moving_R = torch.arange(len(self.values_RM), device=self.values_RM.device)
        values_RM, upper_RM = self.values_RM, self.upper_RM
        for number in range(_MAX_ROUNDS):
            laws = _Laws.of(values_RM, upper_RM)
            before_RM, upper_RM = upper_RM, torch.sigmoid(laws.log_odds(values_RM))
            count_R = laws.share[:, 0] * values_RM.shape[1]
            lost_R = (count_R < _FEWEST) | (laws.share[:, 0] > _LARGEST_SHARE)
            settled_R = (upper_RM - before_RM).abs_().amax(1) < _ENOUGH
            if number == _MAX_ROUNDS - 1:
                settled_R[:] = True
            ended_R = lost_R | settled_R
            if not ended_R.any():
                continue
            upper_RM[lost_R] = 0
            self._keep(
                moving_R[ended_R], laws.chosen(ended_R), values_RM[ended_R], upper_RM[ended_R]
            )
            moving_R = moving_R[~ended_R]
            values_RM, upper_RM = values_RM[~ended_R], upper_RM[~ended_R]
            if not len(moving_R):
                break

    def _keep(
        self, number_E: torch.Tensor, laws: _Laws, values_EM: torch.Tensor, upper_EM: torch.Tensor
    ) -> None:
        """Keeps what the fits of some numbers have come to."""
        count_E = upper_EM.sum(1)
        has_groups_E = count_E >= _FEWEST
        distance_E = ((laws.above - laws.below) / laws.variance.sqrt())[:, 0]
        separation_E = (count_E / _FULL_COUNT).sqrt().clamp(max=1) * distance_E
        log_likelihood_E = laws.log_likelihood(values_EM)
        self.upper_RM[number_E] = upper_EM * has_groups_E[:, None]
        self.separation_R[number_E] = torch.where(has_groups_E, separation_E, -1.0)
        self.log_likelihood_R[number_E] = torch.where(has_groups_E, log_likelihood_E, _NONE)
