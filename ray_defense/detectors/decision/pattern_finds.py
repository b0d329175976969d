"""What a pattern of a label flags: Benjamini-Hochberg among the other labels, and two groups.

The samples of all other labels say how strongly a sample has the pattern by chance. In a label
where more samples have it than that allows, those are flagged that probably belong to the upper of
two groups of scores.

Shapes: N samples.
"""

from dataclasses import dataclass
from math import floor

import numpy as np

from ray_defense.detectors.decision.verdict import Interval
from ray_defense.scores.false_discovery import benjamini_hochberg
from ray_defense.scores.two_groups import fit_two_groups

_SUSPICIOUS = 0.01  # a p-value up to which a sample is not trusted


@dataclass(frozen=True)
class PatternRule:
    """When a pattern counts as evidence."""

    rate: float  # the false discovery rate among the flagged of a label
    fewest: int  # samples of a label that must be flagged: fewer may be copies of one image
    min_posterior: float  # of belonging to the upper group


@dataclass(frozen=True, eq=False)
class PatternFinds:
    """What the patterns of all labels say."""

    labels: tuple[int, ...]  # with evidence, ascending
    flagged_N: np.ndarray  # bool, in these labels
    suspicious_N: np.ndarray  # bool, in any label
    num_poisoned: Interval  # of the flagged, at the rate


def find_by_pattern(
    scores_N: np.ndarray, p_values_N: np.ndarray, labels_N: np.ndarray, rule: PatternRule
) -> PatternFinds:
    """Flags the samples that have the pattern of their label.

    Args:
        scores_N: How strongly each sample has it, finite.
        p_values_N: How rare that is among the other labels, in (0, 1].
        labels_N: Labels as received.
        rule: When a pattern counts as evidence.
    """
    flagged_N = np.zeros(len(labels_N), bool)
    labels = []
    for label in np.unique(labels_N).tolist():
        members = np.flatnonzero(labels_N == label)
        found_M = benjamini_hochberg(p_values_N[members], rule.rate)
        if found_M.sum() < rule.fewest:
            continue
        groups = fit_two_groups(scores_N[members])
        if groups is not None:
            found_M &= groups.posteriors_M > rule.min_posterior
        if found_M.sum() < rule.fewest:
            continue
        labels.append(label)
        flagged_N[members[found_M]] = True
    num_flagged = int(flagged_N.sum())
    return PatternFinds(
        labels=tuple(labels),
        flagged_N=flagged_N,
        suspicious_N=flagged_N | (p_values_N <= _SUSPICIOUS),
        num_poisoned=Interval(floor((1 - rule.rate) * num_flagged), num_flagged),
    )
