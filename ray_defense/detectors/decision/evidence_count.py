"""Counts the finds of all columns: signs and patterns, what grew from them, one-sided columns.

Shapes: N samples.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.detectors.decision.assessability import Column
from ray_defense.detectors.decision.conformal_finds import find_by_reference
from ray_defense.detectors.decision.pattern_finds import (
    PatternFinds,
    PatternRule,
    find_by_pattern,
    find_over_all,
    labels_beyond,
)
from ray_defense.detectors.decision.protocol import EvidenceTable, rarity_column
from ray_defense.detectors.decision.sign_groups import (
    SignFinds,
    SignRule,
    find_by_signs,
    num_sign_tests,
)
from ray_defense.detectors.decision.verdict import ColumnReport, GroupTest, Interval
from ray_defense.scores.coherence import area_under_roc
from ray_defense.scores.prior_shift import shift_prior

if TYPE_CHECKING:
    from ray_defense.detectors.decision.evidence import Evidence

_AGREEING_AUROC = 0.75
_SUSPICIOUS_POSTERIOR = 0.02  # above it, a sample is not trusted


class EvidenceCount:
    """The finds of all columns, counted one kind after the other."""

    def __init__(self, config: "Evidence", table: EvidenceTable, columns: dict[str, Column]):
        self.config = config
        self.table = table
        self.columns = columns
        self.signs: dict[str, SignFinds] = {}  # of the antisymmetric columns
        self.patterns: dict[str, PatternFinds] = {}
        self.finds: dict[str, np.ndarray] = {}  # bool [N] of each column that flags
        self.flagged_N = np.zeros(table.num_samples, bool)
        self.suspicious_N = np.zeros(table.num_samples, bool)  # flagged by any, if only by chance

    def count_signs(self) -> None:
        config = self.config
        num_labels = len(np.unique(self.table.labels))
        rule = SignRule(
            rate=config.rate,
            level=config.alarm_level,
            num_tests=num_sign_tests(len(config.antisymmetric), num_labels),
            chance=config.sign_chance,
        )
        for name in config.antisymmetric:
            column = self.columns[name]
            if column.assessable:
                finds = find_by_signs(name, column.values_N, self.table.labels, rule)
                self.signs[name] = finds
                self.finds[name] = finds.flagged_N
                self.flagged_N |= finds.flagged_N
                self.suspicious_N |= finds.suspicious_N

    def count_patterns(self) -> None:
        config = self.config
        fewest = config.fewest_of_pattern
        of_label = PatternRule(config.rate, fewest, config.least_share_of_pattern)
        of_all = PatternRule(config.rate, fewest, config.least_share_of_handed)
        for name in (*config.patterns, *config.handed):
            column = self.columns[name]
            if column.assessable:
                p_values_N = 1 - self.table.columns[rarity_column(name)]
                if name in config.handed:
                    finds = find_over_all(p_values_N, self.table.labels, of_all)
                else:
                    finds = find_by_pattern(p_values_N, self.table.labels, of_label)
                self.patterns[name] = finds
                self.finds[name] = finds.flagged_N
                self.flagged_N |= finds.flagged_N
                self.suspicious_N |= finds.suspicious_N

    def count_grown(self) -> None:
        """Adds what coherent seeds grew to; it takes the place of what the seeds' column flags.

        The share of samples that are like the seeds is estimated label by label, because a trigger
        is frequent in the labels that it leads to and rare or absent in the others.
        """
        coherent = []
        for name in self.config.grown:
            column = self.columns[name]
            if column.assessable:
                posteriors_N = self._posteriors(column)
                self.suspicious_N |= posteriors_N > _SUSPICIOUS_POSTERIOR
                self.suspicious_N |= column.values_N > 0
                if self._is_coherent(column):
                    coherent.append(name)
                    self.finds[name] = posteriors_N > self.config.min_posterior
        roots = [self.table.follows.get(name) for name in coherent]
        self.flagged_N[:] = False
        for name, finds_N in self.finds.items():
            if name not in roots and not self._is_explained(name):
                self.flagged_N |= finds_N

    def _is_explained(self, name: str) -> bool:
        """Returns whether patterns have flagged nearly all that another column flags.

        Patterns of labels explain patterns over all labels, and both explain any other column.
        """
        if name in self.config.patterns:
            return False
        finds_N = self.finds[name]
        by_patterns_N = np.zeros(self.table.num_samples, bool)
        for other, finds in self.patterns.items():
            if other in self.config.patterns or name not in self.patterns:
                by_patterns_N |= finds.flagged_N
        num_explained = int((finds_N & by_patterns_N).sum())
        return num_explained > 0 and num_explained >= self.config.explained_share * finds_N.sum()

    def count_one_sided(self) -> None:
        """Adds what one-sided columns flag in the labels that others suspect."""
        others_N = self.flagged_N.copy()
        suspected = self.labels_suspected()
        for name in self.config.one_sided:
            column = self.columns[name]
            if column.assessable and suspected:
                finds_N = self._find_by_reference(column, others_N, suspected)
                self.finds[name] = finds_N
                self.flagged_N |= finds_N
                self.suspicious_N |= finds_N

    def _find_by_reference(
        self, column: Column, others_N: np.ndarray, suspected: Collection[int]
    ) -> np.ndarray:
        """Returns what a one-sided column adds; vouched samples are read behind the others."""
        scores = column.values_N
        labels = self.table.labels
        num_vouched = 0
        vouched = self.table.vouched
        if vouched is not None:
            num_vouched = vouched.num_samples
            scores = np.concatenate([scores, vouched.columns[column.name]])
            labels = np.concatenate([labels, vouched.labels])
        is_vouched = np.arange(len(scores)) >= self.table.num_samples
        finds = find_by_reference(
            scores,
            labels,
            np.concatenate([others_N, np.zeros(num_vouched, bool)]),
            suspected=suspected,
            rate=self.config.rate,
            vouched_N=is_vouched,
        )
        return finds[: self.table.num_samples]

    def finds_of(self, name: str) -> np.ndarray:
        """Returns which samples a column flags, bool [N]; none where it is not counted."""
        return self.finds.get(name, np.zeros(self.table.num_samples, bool))

    def _posteriors(self, column: Column) -> np.ndarray:
        """Returns how probably each sample is like the seeds, given its label."""
        posteriors_N = np.zeros(self.table.num_samples)
        if column.coherence is None:
            return posteriors_N  # there were no seeds
        seed_share = self.table.seed_shares[column.name]
        for label in np.unique(self.table.labels):
            members_N = self.table.labels == label
            shifted = shift_prior(column.values_N[members_N], seed_share)
            posteriors_N[members_N] = shifted.posteriors_M
        return posteriors_N

    def _is_coherent(self, column: Column) -> bool:
        return column.coherence is not None and column.coherence >= self.config.min_coherence

    def labels_suspected(self) -> tuple[int, ...]:
        """Returns the labels with signs or a pattern, and those that grown samples lie in.

        Grown samples make a label suspected if it has more of them than the false ones that the
        rate allows over all labels.
        """
        labels: set[int] = set()
        for finds in self._counted():
            labels.update(finds.labels)
        for name in self.config.grown:
            grown_N = self.finds.get(name)
            if grown_N is None or not grown_N.any() or self._is_explained(name):
                continue
            labels.update(labels_beyond(self.table.labels[grown_N], self.config.rate))
        return tuple(sorted(labels))

    def num_poisoned(self) -> Interval | None:
        """Returns how many of the flagged have a trigger, where signs or patterns bound it."""
        num_flagged = int(self.flagged_N.sum())
        lows = [finds.num_poisoned.low for finds in self._counted()]
        highs = [finds.num_poisoned.high for finds in self._counted()]
        if not num_flagged or not any(highs):
            return None
        counted_N = np.zeros(self.table.num_samples, bool)
        for finds in self._counted():
            counted_N |= finds.flagged_N
        num_added = int((self.flagged_N & ~counted_N).sum())
        low = min(num_flagged, max(lows))
        return Interval(low, max(low, min(num_flagged, sum(highs) + num_added)))

    def counts_anything(self) -> bool:
        """Returns whether a column could have given evidence."""
        if self.signs or self.patterns:
            return True
        for name in self.config.grown:
            column = self.columns[name]
            if column.assessable and column.coherence is not None:
                return True
        return False

    def _counted(self) -> list[SignFinds | PatternFinds]:
        """Returns the finds of the signs and patterns that no pattern explains."""
        finds_by_name: dict[str, SignFinds | PatternFinds] = {**self.signs, **self.patterns}
        return [finds for name, finds in finds_by_name.items() if not self._is_explained(name)]

    def flagging_column(self) -> str | None:
        """Returns the column that flagged the most samples, the first of several."""
        most = 0
        flagging = None
        for name, finds_N in self.finds.items():
            if finds_N.sum() > most:
                most = int(finds_N.sum())
                flagging = name
        return flagging

    def trusting_column(self) -> str:
        """Returns the first column of `trusted_by` that varies and flagged nothing."""
        for name in self.config.trusted_by:
            values_N = self.table.columns[name]
            has_flagged = name in self.finds and bool(self.finds[name].any())
            if not has_flagged and values_N.min() < values_N.max():
                return name
        return self.config.trusted_by[0]

    def tests(self) -> tuple[GroupTest, ...]:
        """Returns the sign tests of all columns."""
        tests: list[GroupTest] = []
        for finds in self.signs.values():
            tests.extend(finds.tests)
        return tuple(tests)

    def reports(self) -> list[ColumnReport]:
        return [self._report(column) for column in self.columns.values()]

    def _report(self, column: Column) -> ColumnReport:
        finds_N = self.finds_of(column.name)
        auroc = None
        if self.flagged_N.any() and not self.flagged_N.all():
            flagged = column.values_N[self.flagged_N]
            auroc = area_under_roc(flagged, column.values_N[~self.flagged_N])
        gives_evidence = column.kind != "one_sided" and bool(finds_N.any())
        agrees = gives_evidence
        if column.assessable and auroc is not None and auroc >= _AGREEING_AUROC:
            agrees = True
        return ColumnReport(
            column=column.name,
            kind=column.kind,
            assessable=column.assessable,
            reason=column.reason,
            gives_evidence=gives_evidence,
            num_flagged=int(finds_N.sum()),
            middle_accuracy=column.middle_accuracy,
            coherence=column.coherence,
            auroc_of_flagged=auroc,
            agrees=agrees,
        )
