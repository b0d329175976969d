"""How a start becomes a pattern, by turns: the images that fit it best make the next one.

Two halves of the images, each for itself, must come to the same pattern. What it is worth is how
much the images of one half stand out by the pattern of the other half, over a reference.

A pattern is the mean of some images over that of the others. In every value it has noise, and what
those images share by chance, and in both a small trigger is lost. So each start is followed in two
ways: as it is, which suits triggers as large as the image, and sparse, with only the values that
stand out among all others, which suits small ones.

Shapes: M images, D values of local contrast, S starts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ray_defense.core.random import permutation
from ray_defense.scores.enrichment import enrichment
from ray_defense.scores.two_groups import fit_two_groups

FEWEST_HIGHEST = 5  # images of a half among the highest scores
_HARD_TURNS = 5  # by the share that fits best
_SOFT_TURNS = 8  # by the probability of being one of them
_SETTLED = 0.9999  # the cosine of two patterns that are one
_OUTSTANDING = 4.0  # deviations of all values, above which a sparse pattern keeps one
_SHARE_WITHOUT_GROUPS = 0.05  # what counts as fitting best where there are no two groups
_TINY = 1e-12
_TO_DEVIATION = 1.4826  # from the median absolute deviation, for a normal law

Halves = tuple[torch.Tensor, torch.Tensor]  # standard contrasts [M, D]
# The reference scores of a pattern [D], which are compared with those of a half [M, D].
Reference = Callable[[torch.Tensor, torch.Tensor], np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """Where a search for a pattern starts, and how it is followed."""

    values_D: torch.Tensor  # float32, of length 1
    sparse: bool


@dataclass(frozen=True)
class Pattern:
    """What some images share."""

    values_D: torch.Tensor  # float32, of any length
    sparse: bool
    agreement: float  # the cosine of the patterns of both halves
    enrichment: float  # of its images among the highest scores, over the reference

    @property
    def merit(self) -> float:
        return self.enrichment * max(self.agreement, 0.0)


def units(vectors_SD: torch.Tensor) -> torch.Tensor:
    """Returns the rows with length 1."""
    units_SD: torch.Tensor = vectors_SD / (vectors_SD.norm(dim=1, keepdim=True) + _TINY)
    return units_SD


def starts_of(
    contrasts_MD: torch.Tensor, start_D: torch.Tensor, num_exemplars: int, key: int
) -> torch.Tensor:
    """Returns a start, and images drawn at random or that fit it best, in rows of length 1."""
    drawn = permutation(key, len(contrasts_MD))[:num_exemplars]
    fitting = (contrasts_MD @ start_D).argsort(descending=True, stable=True)[:num_exemplars]
    chosen = np.union1d(drawn, fitting.cpu().numpy())
    exemplars_SD = contrasts_MD[torch.from_numpy(chosen).to(contrasts_MD.device)]
    return units(torch.cat((start_D[None], exemplars_SD)))


def scores_of(contrasts_MD: torch.Tensor, unit_D: torch.Tensor) -> np.ndarray:
    """Returns how strongly images have a pattern, float64 [M]."""
    scores_M: np.ndarray = (contrasts_MD @ unit_D).double().cpu().numpy()
    return scores_M


def only_outstanding(difference_SD: torch.Tensor) -> torch.Tensor:
    """Returns differences of means with 0 for all values but those that stand out in their row."""
    deviation_S = _TO_DEVIATION * difference_SD.abs().median(dim=-1, keepdim=True).values
    return torch.where(difference_SD.abs() > _OUTSTANDING * deviation_S, difference_SD, 0)


def turn_hard(
    contrasts_MD: torch.Tensor, starts_SD: torch.Tensor, share: float, *, sparse: bool
) -> torch.Tensor:
    """Returns where starts lead to if a share of the images is taken to have the pattern."""
    count = min(len(contrasts_MD), max(FEWEST_HIGHEST, int(share * len(contrasts_MD))))
    mean_D = contrasts_MD.mean(0)
    for _ in range(_HARD_TURNS):
        scores_MS = contrasts_MD @ starts_SD.T
        highest = scores_MS.topk(count, dim=0).indices
        is_highest_MS = torch.zeros_like(scores_MS).scatter_(0, highest, 1.0)
        difference_SD = is_highest_MS.T @ contrasts_MD / count - mean_D
        if sparse:
            difference_SD = only_outstanding(difference_SD)
        starts_SD = units(difference_SD)
    return starts_SD


def follow(contrasts_MD: torch.Tensor, start_D: torch.Tensor, *, sparse: bool) -> torch.Tensor:
    """Returns the pattern that a start leads to by soft turns, of length 1.

    A sparse turn in which nothing stands out gives 0, and the next one begins with the mean of all
    images, negated; if the last turn is such a one, so is the pattern.
    """
    unit_D = units(start_D[None])[0]
    for _ in range(_SOFT_TURNS):
        scores_M = scores_of(contrasts_MD, unit_D)
        groups = fit_two_groups(scores_M)
        if groups is None:
            upper_M = (scores_M > np.quantile(scores_M, 1 - _SHARE_WITHOUT_GROUPS)).astype(float)
        else:
            upper_M = groups.posteriors_M
        weights_M = torch.from_numpy(upper_M).float().to(contrasts_MD.device)
        above_D = weights_M @ contrasts_MD / weights_M.sum().clamp(min=_TINY)
        below_D = (1 - weights_M) @ contrasts_MD / (1 - weights_M).sum().clamp(min=_TINY)
        difference_D = above_D - below_D
        if sparse:
            difference_D = only_outstanding(difference_D)
        before_D = unit_D
        unit_D = units(difference_D[None])[0]
        if float(unit_D @ before_D) > _SETTLED:
            break
    return unit_D


def agreed(halves: Halves, reference: Reference, candidate: Candidate) -> Pattern:
    """Returns what a start leads to in both halves."""
    sparse = candidate.sparse
    found = [follow(half_MD, candidate.values_D, sparse=sparse) for half_MD in halves]
    enrichments = []
    for unit_D, half_MD in zip(found, reversed(halves), strict=True):
        own_M = scores_of(half_MD, unit_D)
        enrichments.append(enrichment(own_M, reference(unit_D, half_MD), FEWEST_HIGHEST))
    agreement = float(found[0] @ found[1])
    return Pattern(found[0] + found[1], sparse, agreement, min(enrichments))


def scale_and_bias(reference_scores: np.ndarray) -> tuple[float, float]:
    """Returns what gives reference scores median 0 and deviation 1; zeros where they are equal."""
    if not len(reference_scores):
        return 0.0, 0.0
    median = float(np.median(reference_scores))
    deviation = _TO_DEVIATION * float(np.median(np.abs(reference_scores - median)))
    if deviation <= _TINY:
        return 0.0, 0.0
    return 1 / deviation, -median / deviation
