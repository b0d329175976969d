"""Counts the signs of an antisymmetric column label by label: which groups have too many, and who.

Shapes: N samples.
"""

import math
from dataclasses import dataclass

import numpy as np

from ray_defense.detectors.decision.verdict import Group, GroupTest, Interval
from ray_defense.scores.find_interval import find_interval
from ray_defense.scores.knockoff import knockoff_threshold
from ray_defense.scores.sign_scan import sign_scan_p_value


@dataclass(frozen=True)
class SignRule:
    """When signs count as evidence."""

    rate: float  # the false discovery rate among the flagged
    level: float  # the probability of any false alarm, over all tests
    num_tests: int  # over which Bonferroni's correction goes
    chance: float  # of a positive sign that samples without a trigger may have


@dataclass(frozen=True, eq=False)
class SignFinds:
    """What the signs of one column say."""

    tests: tuple[GroupTest, ...]
    labels: tuple[int, ...]  # that have evidence by themselves, ascending
    rest_has_evidence: bool  # all other labels together
    flagged_N: np.ndarray  # bool, in the groups with evidence
    suspicious_N: np.ndarray  # bool, flagged in any group, with evidence or without
    num_poisoned: Interval  # of the flagged


def num_sign_tests(num_columns: int, num_labels: int) -> int:
    """Returns how many tests `find_by_signs` makes: each label, all labels, and the rest."""
    return num_columns * (num_labels + 2)


def find_by_signs(
    column: str, statistics_N: np.ndarray, labels_N: np.ndarray, rule: SignRule
) -> SignFinds:
    """Flags samples by knockoff+ in each group of samples whose signs are evidence of a trigger.

    A label by itself is a group, because most triggers lie in one label and there its samples are
    not diluted. The labels without evidence of their own are one more group, because a trigger may
    lie in all of them. A group has evidence if its adjusted sign scan is significant and knockoff+
    flags samples in it.

    Args:
        column: The name of the column.
        statistics_N: The antisymmetric statistics.
        labels_N: Labels as received.
        rule: When signs count as evidence.
    """
    flagged_N = np.zeros(len(labels_N), bool)
    suspicious_N = np.zeros(len(labels_N), bool)
    tests = []
    labels = []
    low = 0
    high = 0
    groups: list[tuple[Group, np.ndarray]] = []
    for label in np.unique(labels_N).tolist():
        groups.append((label, labels_N == label))
    groups.append(("all", np.ones(len(labels_N), bool)))
    for group, members_N in groups:
        test = _test_group(column, group, statistics_N[members_N], rule)
        tests.append(test)
        finds_N = members_N & (statistics_N >= _threshold(test))
        suspicious_N |= finds_N
        if isinstance(group, int) and _has_evidence(test, rule):
            labels.append(group)
            flagged_N |= finds_N
            low += test.num_poisoned.low
            high += test.num_poisoned.high
    rest_N = ~np.isin(labels_N, labels)
    rest_has_evidence = False
    if rest_N.any():
        test = _test_group(column, "rest", statistics_N[rest_N], rule)
        tests.append(test)
        rest_has_evidence = _has_evidence(test, rule)
        if rest_has_evidence:
            flagged_N |= rest_N & (statistics_N >= _threshold(test))
            low += test.num_poisoned.low
            high += test.num_poisoned.high
    return SignFinds(
        tests=tuple(tests),
        labels=tuple(labels),
        rest_has_evidence=rest_has_evidence,
        flagged_N=flagged_N,
        suspicious_N=suspicious_N | flagged_N,
        num_poisoned=Interval(low, high),
    )


def _test_group(column: str, group: Group, statistics: np.ndarray, rule: SignRule) -> GroupTest:
    p_value = sign_scan_p_value(statistics, rule.chance)
    threshold = knockoff_threshold(statistics, rule.rate)
    interval = find_interval(statistics, threshold)
    return GroupTest(
        column=column,
        group=group,
        num_samples=len(statistics),
        p_value=p_value,
        adjusted_p_value=min(1.0, rule.num_tests * p_value),
        threshold=threshold if threshold < math.inf else None,
        num_flagged=int(np.count_nonzero(statistics >= threshold)),
        num_poisoned=Interval(interval.low, interval.high),
    )


def _has_evidence(test: GroupTest, rule: SignRule) -> bool:
    return test.adjusted_p_value <= rule.level and test.num_flagged > 0


def _threshold(test: GroupTest) -> float:
    return math.inf if test.threshold is None else test.threshold
