"""How a start becomes a pattern, by turns: the images that fit it best make the next one.

Two halves of the images, each for itself, must come to the same pattern. What it is worth is how
much the images of one half stand out by the pattern of the other half, over a reference.

A pattern is the mean of some images over that of the others. In every value it has noise, and what
those images share by chance, and in both a small trigger is lost. So each start is followed in two
ways: as it is, which suits triggers as large as the image, and sparse, with only the values that
stand out among all others, which suits small ones.

Shapes: M images, N reference images, D values of local contrast, S starts, K starts that still
move.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from ray_defense.core.random import permutation
from ray_defense.detectors.two_groups import fit_rows
from ray_defense.scores.enrichment import enrichment

if TYPE_CHECKING:
    from ray_defense.detectors.pattern_detector import PatternSearch

FEWEST_HIGHEST = 5  # images of a half among the highest scores
_HARD_TURNS = 5  # by the share that fits best
_SOFT_TURNS = 8  # by the probability of being one of them
_SETTLED = 0.9999  # the cosine of two patterns that are one
_OUTSTANDING = 4.0  # deviations of all values, above which a sparse pattern keeps one
_SHARE_WITHOUT_GROUPS = 0.05  # what counts as fitting best where there are no two groups
_TINY = 1e-12
_TO_DEVIATION = 1.4826  # from the median absolute deviation, for a normal law

Halves = tuple[torch.Tensor, torch.Tensor]  # standard contrasts [M, D]
# The reference scores [S, N] of patterns [S, D], which are compared with those of a half [M, D].
Reference = Callable[[torch.Tensor, torch.Tensor], np.ndarray]
# The numbers of patterns [S, D], those that are worth following in front, by the share they had.
BestFirst = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where a search for a pattern starts, and how each start is followed."""

    values_SD: torch.Tensor  # float32, rows of length 1
    is_sparse_S: torch.Tensor  # bool

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Returns the candidates of all parts."""
        return cls(
            torch.cat([part.values_SD for part in parts]),
            torch.cat([part.is_sparse_S for part in parts]),
        )

    @classmethod
    def of(cls, values_SD: torch.Tensor, *, sparse: bool) -> "Candidates":
        """Returns candidates that are followed in one way."""
        is_sparse_S = torch.full((len(values_SD),), sparse, device=values_SD.device)
        return cls(units(values_SD), is_sparse_S)


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


def scores_of(contrasts_MD: torch.Tensor, units_SD: torch.Tensor) -> np.ndarray:
    """Returns how strongly images have patterns, float64 [S, M]."""
    scores_SM: np.ndarray = (units_SD @ contrasts_MD.T).double().cpu().numpy()
    return scores_SM


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


def promising(
    contrasts_MD: torch.Tensor,
    starts_SD: torch.Tensor,
    search: "PatternSearch",
    best_first: BestFirst,
) -> Candidates:
    """Returns the first start, and where the most promising starts have led to by hard turns.

    Args:
        contrasts_MD: Standard contrasts.
        starts_SD: Rows of length 1.
        search: The shares of the images that may have a pattern, and how many starts of each are
            kept.
        best_first: Ranks the patterns that the starts have led to.
    """
    candidates = [Candidates.of(starts_SD[:1], sparse=sparse) for sparse in (False, True)]
    for share, sparse in product(search.shares, (False, True)):
        turned_SD = turn_hard(contrasts_MD, starts_SD, share, sparse=sparse)
        kept = best_first(turned_SD, share)[: search.kept]
        candidates.append(Candidates.of(turned_SD[kept], sparse=sparse))
    return Candidates.joined(candidates)


def follow(contrasts_MD: torch.Tensor, candidates: Candidates) -> torch.Tensor:
    """Returns the patterns that starts lead to by soft turns, rows of length 1.

    A sparse turn in which nothing stands out ends with the pattern 0.
    """
    patterns_SD = candidates.values_SD.clone()
    moving_K = torch.arange(len(patterns_SD), device=patterns_SD.device)
    sum_D = contrasts_MD.sum(0)
    for _ in range(_SOFT_TURNS):
        before_KD = patterns_SD[moving_K]
        upper_KM = _upper_groups(before_KD @ contrasts_MD.T).to(contrasts_MD.dtype)
        count_K1 = upper_KM.sum(1, keepdim=True)
        sums_KD = upper_KM @ contrasts_MD
        above_KD = sums_KD / count_K1.clamp(min=_TINY)
        below_KD = (sum_D - sums_KD) / (len(contrasts_MD) - count_K1).clamp(min=_TINY)
        difference_KD = above_KD - below_KD
        is_sparse_K1 = candidates.is_sparse_S[moving_K, None]
        after_KD = units(torch.where(is_sparse_K1, only_outstanding(difference_KD), difference_KD))
        patterns_SD[moving_K] = after_KD
        settled_K = (after_KD * before_KD).sum(1) > _SETTLED
        moving_K = moving_K[~settled_K & after_KD.any(1)]
        if not len(moving_K):
            break
    return patterns_SD


def _upper_groups(scores_KM: torch.Tensor) -> torch.Tensor:
    """Returns how much each image belongs to the upper group of its row, float64 in [0, 1]."""
    scores_KM = scores_KM.double()
    groups = fit_rows(scores_KM)
    lower_end_K1 = torch.quantile(scores_KM, 1 - _SHARE_WITHOUT_GROUPS, dim=1, keepdim=True)
    highest_KM = (scores_KM > lower_end_K1).double()
    return torch.where(groups.is_found_S[:, None], groups.posteriors_SM, highest_KM)


def agreed(halves: Halves, reference: Reference, candidates: Candidates) -> list[Pattern]:
    """Returns what each start leads to in both halves."""
    found = [follow(half_MD, candidates) for half_MD in halves]
    enrichments = []
    for units_SD, half_MD in zip(found, reversed(halves), strict=True):
        own_SM = scores_of(half_MD, units_SD)
        reference_SN = reference(units_SD, half_MD)
        enrichments.append(
            [
                enrichment(own_M, reference_N, FEWEST_HIGHEST)
                for own_M, reference_N in zip(own_SM, reference_SN, strict=True)
            ]
        )
    agreement_S = (found[0] * found[1]).sum(1).tolist()
    patterns = []
    for number, (agreement, *of_halves) in enumerate(zip(agreement_S, *enrichments, strict=True)):
        patterns.append(
            Pattern(
                found[0][number] + found[1][number],
                bool(candidates.is_sparse_S[number]),
                agreement,
                min(of_halves),
            )
        )
    return patterns


def follow_to_end(contrasts_MD: torch.Tensor, pattern: Pattern) -> torch.Tensor:
    """Returns the pattern of all images, of length 1, that the pattern of the halves leads to."""
    return follow(contrasts_MD, Candidates.of(pattern.values_D[None], sparse=pattern.sparse))[0]


def scale_and_bias(reference_scores: np.ndarray) -> tuple[float, float]:
    """Returns what gives reference scores median 0 and deviation 1; zeros where they are equal."""
    if not len(reference_scores):
        return 0.0, 0.0
    median = float(np.median(reference_scores))
    deviation = _TO_DEVIATION * float(np.median(np.abs(reference_scores - median)))
    if deviation <= _TINY:
        return 0.0, 0.0
    return 1 / deviation, -median / deviation
