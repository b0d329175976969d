"""What patterns flag: Benjamini-Hochberg on p-values among other labels, or mirror images.

The samples of all other labels say how rarely a sample has the pattern of its label by chance, and
mirror images how rarely it has a pattern that lies in all labels. Samples with a trigger stand so
far out that a much stricter rate finds nearly all of them, too; then that one counts.

Shapes: N samples.
"""

from dataclasses import dataclass
from math import floor

import numpy as np

from ray_defense.detectors.decision.verdict import Interval
from ray_defense.scores.false_discovery import benjamini_hochberg

_FEWEST_OF_LABEL = 5  # flagged samples, of which a suspected label has more
_HALVINGS = 6  # of the rate
_KEPT = 0.95  # of the finds, by a stricter rate that counts
_SUSPICIOUS = 0.01  # a p-value up to which a sample is not trusted


@dataclass(frozen=True)
class PatternRule:
    """When a pattern counts as evidence, in a label or over all of them."""

    rate: float  # the false discovery rate among the flagged
    fewest: int  # samples that must be flagged: fewer may be copies of one image
    least_share: float = 0.0  # of the samples that must be flagged


@dataclass(frozen=True, eq=False)
class PatternFinds:
    """What patterns say."""

    labels: tuple[int, ...]  # suspected, ascending
    flagged_N: np.ndarray  # bool
    suspicious_N: np.ndarray  # bool, in any label
    num_poisoned: Interval  # of the flagged, at the rate


def find_by_pattern(
    p_values_N: np.ndarray, labels_N: np.ndarray, rule: PatternRule
) -> PatternFinds:
    """Flags the samples that have the pattern of their label.

    Args:
        p_values_N: How rare a score is among the other labels, in (0, 1].
        labels_N: Labels as received.
        rule: When a pattern counts as evidence.
    """
    flagged_N = np.zeros(len(labels_N), bool)
    labels = []
    for label in np.unique(labels_N).tolist():
        members = np.flatnonzero(labels_N == label)
        fewest = max(rule.fewest, rule.least_share * len(members))
        found_M = _find_strictly(p_values_N[members], rule.rate)
        if found_M.sum() < fewest:
            continue
        labels.append(label)
        flagged_N[members[found_M]] = True
    return _finds(labels, flagged_N, p_values_N, rule)


def find_over_all(p_values_N: np.ndarray, labels_N: np.ndarray, rule: PatternRule) -> PatternFinds:
    """Flags the samples that have a pattern which may lie in any label.

    A label is suspected if it has more of them than the false ones that the rate allows over all
    labels; where no label has, all labels with several of them are.

    Args:
        p_values_N: How rare a score is among mirror images, in (0, 1].
        labels_N: Labels as received.
        rule: When a pattern counts as evidence.
    """
    flagged_N = _find_strictly(p_values_N, rule.rate)
    if flagged_N.sum() < max(rule.fewest, rule.least_share * len(labels_N)):
        flagged_N = np.zeros(len(labels_N), bool)
    labels = labels_beyond(labels_N[flagged_N], rule.rate) or labels_beyond(labels_N[flagged_N], 0)
    return _finds(labels, flagged_N, p_values_N, rule)


def labels_beyond(labels_M: np.ndarray, rate: float) -> list[int]:
    """Returns the labels with more flagged samples than false ones are allowed over all labels.

    Args:
        labels_M: The labels of the flagged samples.
        rate: The false discovery rate among them. A few samples make no label suspected.
    """
    counts = np.bincount(labels_M)
    labels: list[int] = np.flatnonzero(counts > max(_FEWEST_OF_LABEL, rate * counts.sum())).tolist()
    return labels


def _finds(
    labels: list[int], flagged_N: np.ndarray, p_values_N: np.ndarray, rule: PatternRule
) -> PatternFinds:
    num_flagged = int(flagged_N.sum())
    return PatternFinds(
        labels=tuple(labels),
        flagged_N=flagged_N,
        suspicious_N=flagged_N | (p_values_N <= _SUSPICIOUS),
        num_poisoned=Interval(floor((1 - rule.rate) * num_flagged), num_flagged),
    )


def _find_strictly(p_values_M: np.ndarray, rate: float) -> np.ndarray:
    """Returns what the strictest rate finds that loses hardly any find of `rate`, bool [M]."""
    found_M = benjamini_hochberg(p_values_M, rate)
    least = _KEPT * found_M.sum()
    for halving in range(1, 1 + _HALVINGS):
        stricter_M = benjamini_hochberg(p_values_M, rate / 2**halving)
        if stricter_M.sum() < least:
            break
        found_M = stricter_M
    return found_M
