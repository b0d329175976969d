"""The decision that counts: flags at a stated false discovery rate, and says how sure it is.

Shapes: N samples.
"""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_distinct, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.assessability import Limits, assess_columns
from ray_defense.detectors.decision.balance_notes import balance_notes
from ray_defense.detectors.decision.concentration_notes import concentration_notes
from ray_defense.detectors.decision.evidence_count import EvidenceCount
from ray_defense.detectors.decision.protocol import Decided, EvidenceTable, rarity_column
from ray_defense.detectors.decision.trusted_part import balanced_trusted
from ray_defense.detectors.decision.verdict import ColumnKind, Outcome, Power, Verdict
from ray_defense.scores.split import SplitPositions, split_by_score


@dataclass(frozen=True)
class Evidence:
    """Flags what the evidence supports, and trusts the same share of every label.

    Antisymmetric columns are counted by knockoff+, in each label and over all of them. Patterns of
    labels are counted among the samples of the other labels, and patterns over all labels among
    mirror images; where they explain what another column flags, it adds nothing. Grown columns
    flag what is probably like their seeds, where these are coherent, in place of the column that
    they grew from. One-sided columns add to what others flagged. Without evidence nothing is
    flagged.
    """

    name: ClassVar[str] = "evidence"
    gives_verdict: ClassVar[bool] = True

    rate: float = 0.05  # the false discovery rate among the flagged
    alarm_level: float = 0.01  # the probability that a clean dataset is given evidence by signs
    antisymmetric: tuple[str, ...] = ("mirror",)
    patterns: tuple[str, ...] = ()  # of one label each
    handed: tuple[str, ...] = ()  # patterns over all labels
    grown: tuple[str, ...] = ("grow",)
    one_sided: tuple[str, ...] = ("fct_draws",)
    trusted_by: tuple[str, ...] = ("fct_draws", "mirror")  # the first one that flagged nothing
    trusted_fraction: float = 0.20  # alpha_c, of the samples of each label that nobody flagged
    # What a clean sample among the largest |W| may have as its chance of a positive sign.
    sign_chance: float = 0.6
    max_middle_accuracy: float = 0.55  # mid50; above it, and above chance, the source is handed
    min_coherence: float = 0.9
    min_posterior: float = 0.5  # the least probability of being like the seeds that flags
    max_alikeness: float = 0.05  # of the images of most labels; above it, no pattern is counted
    # Flagged samples of a label; fewer may be copies of one image, of which large sets have more.
    fewest_of_pattern: int = 10
    least_share_of_pattern: float = 0.015
    least_share_of_handed: float = 0.0025  # of all samples, that a pattern over all labels flags
    # Where patterns have flagged this share of what another column flags, it adds nothing: they
    # have found the trigger, and what they left are mostly false ones.
    explained_share: float = 0.8
    max_grown_fraction: float = 0.5
    min_samples: int = 200  # below, nothing is counted
    # Below, finding nothing says nothing, unless canaries show that something would be found.
    min_for_no_evidence: int = 5000

    def __post_init__(self) -> None:
        check_in_range("decide.rate", self.rate, 1e-6, 1)
        check_in_range("decide.alarm_level", self.alarm_level, 0, 1)
        check_in_range("decide.trusted_fraction", self.trusted_fraction, 0, 1)
        check_in_range("decide.sign_chance", self.sign_chance, 0.5, 0.99)
        check_in_range("decide.max_middle_accuracy", self.max_middle_accuracy, 0.5, 1)
        check_in_range("decide.min_coherence", self.min_coherence, 0.5, 1)
        check_in_range("decide.min_posterior", self.min_posterior, 0.02, 1)
        check_in_range("decide.max_alikeness", self.max_alikeness, 0, 1)
        check_at_least("decide.fewest_of_pattern", self.fewest_of_pattern, 1)
        check_in_range("decide.least_share_of_pattern", self.least_share_of_pattern, 0, 1)
        check_in_range("decide.least_share_of_handed", self.least_share_of_handed, 0, 1)
        check_in_range("decide.explained_share", self.explained_share, 0, 1)
        check_in_range("decide.max_grown_fraction", self.max_grown_fraction, 0, 1)
        check_at_least("decide.min_samples", self.min_samples, 1)
        check_at_least("decide.min_for_no_evidence", self.min_for_no_evidence, 1)
        patterns = (*self.patterns, *self.handed)
        counted = [*self.antisymmetric, *patterns, *self.grown, *self.one_sided]
        check_distinct(
            "decide.antisymmetric, patterns, handed, grown and one_sided together", counted
        )
        if not self.antisymmetric and not patterns and not self.grown:
            raise InputError(
                "decide.antisymmetric, decide.patterns, decide.handed and decide.grown are all "
                "empty: no other column can give evidence; name one, such as mirror"
            )
        if not self.trusted_by:
            raise InputError("decide.trusted_by is empty: name a column, such as fct_draws")

    @property
    def columns_used(self) -> tuple[str, ...]:
        rarities = [rarity_column(name) for name in (*self.patterns, *self.handed)]
        return tuple(dict.fromkeys([*self._kinds, *rarities, *self.trusted_by]))

    @property
    def _kinds(self) -> dict[str, ColumnKind]:
        kinds: dict[str, ColumnKind] = {}
        kinds.update(dict.fromkeys(self.antisymmetric, "antisymmetric"))
        kinds.update(dict.fromkeys((*self.patterns, *self.handed), "pattern"))
        kinds.update(dict.fromkeys(self.one_sided, "one_sided"))
        kinds.update(dict.fromkeys(self.grown, "grown"))
        return kinds

    def split(self, scores: np.ndarray) -> SplitPositions:
        """Returns the lowest scores as trusted; one score alone flags nothing."""
        return split_by_score(scores, self.trusted_fraction, 0)

    def decide(self, table: EvidenceTable, score: str, power: Power | None = None) -> Decided:
        limits = Limits(self.max_middle_accuracy, self.max_grown_fraction, self.max_alikeness)
        columns = assess_columns(table, self._kinds, limits)
        count = EvidenceCount(self, table, columns)
        if table.num_samples >= self.min_samples:
            count.count_signs()
            count.count_patterns()
            count.count_grown()
            count.count_one_sided()
        return self._decided(count, power)

    def _decided(self, count: EvidenceCount, power: Power | None) -> Decided:
        table = count.table
        trusted_by = count.trusting_column()
        trusted = balanced_trusted(
            table.columns[trusted_by], table.labels, count.suspicious_N, self.trusted_fraction
        )
        flagged = np.flatnonzero(count.flagged_N).astype(np.int64)
        everything = np.arange(table.num_samples)
        uncertain = np.setdiff1d(everything, np.concatenate((trusted, flagged)))
        findings: dict[str, np.ndarray] = {"suspicious": count.suspicious_N}
        for name in self._kinds:
            findings[f"{name}_flagged"] = count.finds_of(name)
        verdict = self._verdict(count, power)
        notes = list(verdict.reasons)
        notes.extend(self._concentration_notes(count))
        notes.extend(
            balance_notes(
                np.bincount(table.labels[trusted], minlength=table.num_classes),
                np.bincount(table.labels, minlength=table.num_classes),
            )
        )
        return Decided(
            positions=SplitPositions(trusted, flagged, uncertain.astype(np.int64)),
            scores=table.columns[count.flagging_column() or trusted_by],
            notes=notes,
            verdict=verdict,
            findings=findings,
        )

    def _concentration_notes(self, count: EvidenceCount) -> list[str]:
        notes = []
        for name in self.one_sided:
            column = count.columns[name]
            if column.assessable:
                notes.extend(
                    concentration_notes(name, column.values_N, count.table.labels, count.flagged_N)
                )
        return notes

    def _verdict(self, count: EvidenceCount, power: Power | None) -> Verdict:
        table = count.table
        reasons = []
        if table.num_samples < self.min_samples:
            reasons.append(
                f"there are only {table.num_samples} images: {self.min_samples} are needed, "
                f"because a rate of {self.rate:g} flags {ceil(1 / self.rate)} samples or none"
            )
        for column in count.columns.values():
            if column.reason is not None:
                reasons.append(column.reason)
        outcome: Outcome = "no evidence"
        if count.flagged_N.any():
            outcome = "evidence"
        elif table.num_samples < self.min_samples or not count.counts_anything():
            outcome = "not assessable"
        else:
            why_powerless = self._why_powerless(table.num_samples, power)
            if why_powerless is not None:
                outcome = "not assessable"
                reasons.append(why_powerless)
        reports = count.reports()
        agreeing = [report.column for report in reports if report.agrees]
        return Verdict(
            verdict=outcome,
            reasons=tuple(reasons),
            false_discovery_rate=self.rate,
            alarm_level=self.alarm_level,
            labels_suspected=count.labels_suspected(),
            num_samples=table.num_samples,
            num_flagged=int(count.flagged_N.sum()),
            num_poisoned=count.num_poisoned(),
            detectors_agree=tuple(agreeing),
            columns=tuple(reports),
            tests=count.tests(),
            power=power,
        )

    def _why_powerless(self, num_samples: int, power: Power | None) -> str | None:
        """Returns why it says nothing that nothing was found; None where it says something."""
        if power is not None:
            if any(canary.evidence for canary in power.canaries):
                return None
            return "nothing was found, but no planted canaries were found either"
        if num_samples >= self.min_for_no_evidence:
            return None
        return (
            f"nothing was found among {num_samples} images, but among fewer than "
            f"{self.min_for_no_evidence} these detectors miss most triggers: bring more images, or "
            "plant canaries to see what would be found"
        )
