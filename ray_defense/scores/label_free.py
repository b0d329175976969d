"""Label-free metrics: what a probe's scores are worth, computed without truth or test set.

Shapes: M samples, D features, N classes.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.scores.split import SplitPositions

if TYPE_CHECKING:
    from torch import Tensor

# A class with less than this part of its share among the trusted samples is lost to what is trained
# on them.
_STARVED_RATIO = 0.1


def label_free_metrics(
    scores_M: np.ndarray, labels_M: np.ndarray, split: SplitPositions, num_classes: int
) -> dict[str, float | None]:
    """Returns what the scores, their split and the labels as received tell.

    Args:
        scores_M: Scores, finite.
        labels_M: Labels as received, int in [0, N).
        split: The split of the scores.
        num_classes: N.

    Returns:
        Numbers by name; shares lie in [0, 1], and a metric of an empty part is None.

        - `zero_share`: The share of scores that are exactly 0.
        - `tie_share`: The share of trusted samples whose score another sample has, too, so that
          their index decides (D2).
        - `trusted_balance`: See `class_balance`.
        - `trusted_starved`: The share of classes that `starved_classes` returns.
        - `flagged_concentration`: The share of the most frequent label among the flagged samples
          (the lowest of several), less its share among all samples, in [-1, 1].
        - `separation`, `separated_share`: See `separation`; None where a score is negative.
    """
    values, inverse, counts = np.unique(scores_M, return_inverse=True, return_counts=True)
    all_N = np.bincount(labels_M, minlength=num_classes)
    trusted_N = np.bincount(labels_M[split.trusted], minlength=num_classes)
    flagged_N = np.bincount(labels_M[split.flagged], minlength=num_classes)
    tie_share = None
    starved_share = None
    if len(split.trusted):
        tie_share = float((counts[inverse[split.trusted]] > 1).mean())
        starved_share = len(starved_classes(trusted_N, all_N)) / int((all_N > 0).sum())
    concentration = None
    if len(split.flagged):
        label = int(flagged_N.argmax())
        share_of_flagged = flagged_N[label] / flagged_N.sum()
        share_of_all = all_N[label] / all_N.sum()
        concentration = float(share_of_flagged - share_of_all)
    between_share: float | None = None
    separated_share: float | None = None
    if scores_M.min() >= 0:
        between_share, separated_share = separation(scores_M)
    return {
        "zero_share": float(counts[values == 0].sum() / len(scores_M)),
        "tie_share": tie_share,
        "trusted_balance": class_balance(trusted_N, all_N),
        "trusted_starved": starved_share,
        "flagged_concentration": concentration,
        "separation": between_share,
        "separated_share": separated_share,
    }


def class_balance(part_N: np.ndarray, all_N: np.ndarray) -> float | None:
    """Returns how evenly a part of the samples draws on the classes.

    The balance is the entropy of the rates part_i / all_i, scaled to sum to 1, over the entropy of
    equal rates.

    Args:
        part_N: How many samples of each class the part has.
        all_N: How many samples of each class there are.

    Returns:
        1 if the part is in proportion, 0 if it holds one class alone, None if it is empty.
    """
    present = all_N > 0
    rates = part_N[present] / all_N[present]
    if not rates.any():
        return None
    if len(rates) == 1:
        return 1.0
    return _entropy(rates) / math.log(len(rates))


def starved_classes(part_N: np.ndarray, all_N: np.ndarray) -> np.ndarray:
    """Returns the classes that have less than a tenth of their share in a part of the samples.

    Args:
        part_N: How many samples of each class the part has.
        all_N: How many samples of each class there are.

    Returns:
        Classes, int64, ascending.
    """
    expected_N = all_N * part_N.sum() / all_N.sum()
    return np.flatnonzero((all_N > 0) & (part_N < _STARVED_RATIO * expected_N))


def separation(scores_M: np.ndarray) -> tuple[float, float]:
    """Returns how well one cut parts the scores into two groups.

    This is the largest share of the variance of log(1 + score / mean score) that lies between the
    groups below and above a cut, over all cuts (Otsu, 1979). Two values give 1, a uniform
    distribution 3/4, a normal one 2/pi; equal scores give 0. The unit of the scores does not
    matter.

    Args:
        scores_M: Scores, finite and not negative.

    Returns:
        The separation in [0, 1], and the share of the samples above the cut.
    """
    values = np.sort(scores_M)
    values = np.log1p(values / (values.mean() or 1))
    if values[0] == values[-1]:
        return 0.0, 0.0
    values -= values.mean()
    num_below = np.arange(1, len(values))
    sum_below = np.cumsum(values)[:-1]
    # w_0 w_1 (m_0 - m_1)^2 of values whose sum is 0
    between = sum_below**2 / (num_below * (len(values) - num_below))
    between[values[1:] == values[:-1]] = 0  # equal scores are not parted
    cut = int(between.argmax())
    between_share = float(min(between[cut] / np.mean(values**2), 1.0))
    share_above = float((len(values) - num_below[cut]) / len(values))
    return between_share, share_above


def effective_rank(features_MD: "Tensor") -> float:
    """Returns the effective rank of centered features.

    This is exp of the entropy of their singular values, scaled to sum to 1. Singular values below
    the resolution of float32 features count as zero. Source: Roy and Vetterli, EUSIPCO 2007.

    Args:
        features_MD: Features, on the CPU.

    Returns:
        A number between 1 and min(M, D), or 0 if all features are equal.
    """
    import torch

    features_MD = features_MD.double()
    singular = torch.linalg.svdvals(features_MD - features_MD.mean(dim=0))
    resolution = torch.finfo(torch.float32).eps * torch.linalg.vector_norm(features_MD)
    singular = singular[singular > resolution]
    if not len(singular):
        return 0.0
    return math.exp(_entropy(singular.numpy()))


def feature_norm(features_MD: "Tensor") -> float:
    """Returns the mean length of the features."""
    import torch

    lengths_M: torch.Tensor = torch.linalg.vector_norm(features_MD.double(), dim=1)
    return lengths_M.mean().item()


def _entropy(weights: np.ndarray) -> float:
    """Returns the entropy, in nats, of non-negative weights scaled to sum to 1."""
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0  # not -0.0
