"""Signs of what a probe's scores are worth, which see no truth: ties, class balance, two groups, the features' spread.

Shapes: M samples, D features, N classes.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ray_defense.scores.split import Split

_STARVED = 0.1  # of its share: a class with less in the trusted split is lost to what is trained on it


def score_signs(scores_M: np.ndarray, labels_M: np.ndarray, split: Split, num_classes: int) -> dict[str, float | None]:
    """Returns what scores, their split and the labels as received tell; shares lie in [0, 1], None where a part is empty.

    `zero_share`: scores that are exactly 0. `tie_share`: trusted samples whose score another sample has, too, so that
    their index decides (D2). `trusted_balance`, `trusted_starved`: see `class_balance`, `starved_classes`.
    `poisoned_concentration`: the share of the poisoned split's most frequent label in it (of several the lowest), less its
    share of all, in [-1, 1]. `separation`, `separated_share`: see `separation`.
    """
    values, inverse, counts = np.unique(scores_M, return_inverse=True, return_counts=True)
    whole_N, trusted_N, poisoned_N = (
        np.bincount(labels, minlength=num_classes) for labels in (labels_M, labels_M[split.trusted], labels_M[split.poisoned])
    )
    share, above = separation(scores_M)
    common = int(poisoned_N.argmax())
    return {
        "zero_share": float(counts[values == 0].sum() / len(scores_M)),
        "tie_share": float((counts[inverse[split.trusted]] > 1).mean()) if len(split.trusted) else None,
        "trusted_balance": class_balance(trusted_N, whole_N),
        "trusted_starved": len(starved_classes(trusted_N, whole_N)) / int((whole_N > 0).sum()) if len(split.trusted) else None,
        "poisoned_concentration": (
            float(poisoned_N[common] / poisoned_N.sum() - whole_N[common] / whole_N.sum()) if len(split.poisoned) else None
        ),
        "separation": share,
        "separated_share": above,
    }


def class_balance(part_N: np.ndarray, whole_N: np.ndarray) -> float | None:
    """Returns how evenly the classes of `whole` (counts) come into `part`: 1 is in proportion, 0 is one class alone.

    The entropy of the rates part_i / whole_i, made to sum to 1, over that of equal rates; None for an empty part.
    """
    present = whole_N > 0
    rates = part_N[present] / whole_N[present]
    if not rates.any():
        return None
    if len(rates) == 1:
        return 1.0
    return _entropy(rates) / math.log(len(rates))


def starved_classes(part_N: np.ndarray, whole_N: np.ndarray) -> np.ndarray:
    """Returns the classes of `whole` (counts) that have less than a tenth of their share in `part`, int64, ascending."""
    expected_N = whole_N * part_N.sum() / whole_N.sum()
    return np.flatnonzero((whole_N > 0) & (part_N < _STARVED * expected_N))


def separation(scores_M: np.ndarray) -> tuple[float, float]:
    """Returns how well one cut parts the scores into two groups, in [0, 1], and the share of samples above it.

    The largest share of the variance of log(1 + score / mean score) that lies between the samples below and above a cut
    (Otsu, 1979), over all cuts. Two values give 1, a uniform distribution 3/4, a
    normal one 2/pi; equal scores give 0. The unit of the scores does not matter. Scores are finite, not negative.
    """
    values = np.sort(scores_M)
    values = np.log1p(values / (values.mean() or 1))
    if values[0] == values[-1]:
        return 0.0, 0.0
    values -= values.mean()
    below = np.arange(1, len(values))
    sums = np.cumsum(values)[:-1]
    between = sums**2 / (below * (len(values) - below))  # w_0 w_1 (m_0 - m_1)^2 of values whose sum is 0
    between[values[1:] == values[:-1]] = 0  # equal scores are not parted
    cut = int(between.argmax())
    return float(min(between[cut] / np.mean(values**2), 1.0)), float((len(values) - below[cut]) / len(values))


def effective_rank(features_MD: Tensor) -> float:
    """Returns the effective rank of centered features: exp of the entropy of their singular values, made to sum to 1.

    Between 1 and min(M, D); 0 if all features are equal. Singular values below float32's resolution of the features count
    as zero. Source: Roy and Vetterli, EUSIPCO 2007.
    """
    features_MD = features_MD.double()
    singular = torch.linalg.svdvals(features_MD - features_MD.mean(dim=0))
    singular = singular[singular > torch.finfo(torch.float32).eps * torch.linalg.vector_norm(features_MD)].numpy()
    return math.exp(_entropy(singular)) if len(singular) else 0.0


def feature_norm(features_MD: Tensor) -> float:
    """Returns the mean length of the features."""
    return torch.linalg.vector_norm(features_MD.double(), dim=1).mean().item()


def _entropy(weights: np.ndarray) -> float:
    """Returns the entropy, in nats, of non-negative weights made to sum to 1."""
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0  # not -0.0
