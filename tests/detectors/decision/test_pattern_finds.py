"""Patterns of labels: what they flag, at which rate, and when they are evidence."""

from dataclasses import replace

import numpy as np

from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.pattern_finds import (
    PatternRule,
    find_by_pattern,
    find_over_all,
)
from ray_defense.detectors.decision.protocol import EvidenceTable
from ray_defense.scores.conformal import conformal_p_values

RULE = PatternRule(rate=0.05, fewest=10)
PATTERNS_ALONE = Evidence(
    antisymmetric=(),
    patterns=("fixed_pattern",),
    grown=(),
    one_sided=(),
    trusted_by=("fixed_pattern",),
    min_for_no_evidence=1000,
)
NUM_LABELS = 4
NUM_OF_LABEL = 500


def plant(num_poisoned: int, seed: int = 0) -> tuple[EvidenceTable, np.ndarray]:
    """Returns evidence in which some samples of label 2 have its pattern, and which these are."""
    generator = np.random.default_rng(seed)
    labels_N = np.arange(NUM_LABELS * NUM_OF_LABEL) % NUM_LABELS
    poisoned_N = np.zeros(len(labels_N), bool)
    poisoned_N[np.flatnonzero(labels_N == 2)[:num_poisoned]] = True
    scores_N = generator.normal(size=len(labels_N)) + 9 * poisoned_N
    rarity_N = np.zeros(len(labels_N))
    for label in range(NUM_LABELS):
        reference = generator.normal(size=1500)
        own_N = labels_N == label
        rarity_N[own_N] = 1 - conformal_p_values(scores_N[own_N], reference)
    table = EvidenceTable(
        index=np.arange(len(labels_N)),
        labels=labels_N,
        num_classes=NUM_LABELS,
        columns={"fixed_pattern": scores_N, "fixed_pattern_rarity": rarity_N},
    )
    return table, poisoned_N


def find(table: EvidenceTable, rule: PatternRule = RULE):
    rarity_N = table.columns["fixed_pattern_rarity"]
    return find_by_pattern(1 - rarity_N, table.labels, rule)


def test_all_planted_samples_and_hardly_any_other_are_flagged() -> None:
    for num_poisoned in (12, 60, 240):
        table, poisoned_N = plant(num_poisoned)
        finds = find(table)
        assert finds.labels == (2,)
        assert finds.flagged_N[poisoned_N].all()
        assert finds.flagged_N[~poisoned_N].sum() <= 1
        assert finds.num_poisoned.low <= num_poisoned
        assert finds.num_poisoned.high >= num_poisoned


def test_without_planted_samples_nothing_is_flagged() -> None:
    for seed in range(10):
        table, _ = plant(0, seed)
        finds = find(table)
        assert finds.labels == ()
        assert not finds.flagged_N.any()


def test_fewer_than_the_fewest_may_be_copies_of_one_image() -> None:
    table, _ = plant(9)
    assert find(table).labels == ()
    assert find(table, PatternRule(0.05, 5)).labels == (2,)


def test_a_small_share_of_a_label_may_be_copies_of_one_image() -> None:
    table, _ = plant(12)
    assert find(table, PatternRule(0.05, 10, 0.02)).labels == (2,)
    assert find(table, PatternRule(0.05, 10, 0.03)).labels == ()


def test_a_pattern_is_evidence_by_itself() -> None:
    table, poisoned_N = plant(60)
    decided = PATTERNS_ALONE.decide(table, "fixed_pattern")
    assert decided.verdict is not None
    assert decided.verdict.verdict == "evidence"
    assert decided.verdict.labels_suspected == (2,)
    assert set(decided.positions.flagged) >= set(np.flatnonzero(poisoned_N))
    assert not np.isin(decided.positions.trusted, np.flatnonzero(poisoned_N)).any()
    clean, _ = plant(0)
    nothing = PATTERNS_ALONE.decide(clean, "fixed_pattern").verdict
    assert nothing is not None
    assert nothing.verdict == "no evidence"


def test_labels_whose_images_are_alike_by_themselves_are_not_assessable() -> None:
    table, _ = plant(60)
    alike = EvidenceTable(
        index=table.index,
        labels=table.labels,
        num_classes=table.num_classes,
        columns=table.columns,
        metrics={"fixed_pattern": {"alikeness": 0.66}},
    )
    verdict = PATTERNS_ALONE.decide(alike, "fixed_pattern").verdict
    assert verdict is not None
    assert verdict.verdict == "not assessable"
    assert "66% of what images show" in verdict.reasons[0]


def plant_handed(num_poisoned: int, labels_N: np.ndarray, seed: int = 0):
    """Returns p-values among mirror images, and which samples have a pattern over all labels."""
    generator = np.random.default_rng(seed)
    poisoned_N = np.arange(len(labels_N)) < num_poisoned
    scores_N = generator.normal(size=len(labels_N)) + 9 * poisoned_N
    return conformal_p_values(scores_N, generator.normal(size=len(labels_N))), poisoned_N


def test_a_pattern_over_all_labels_is_flagged_in_each_of_them() -> None:
    labels_N = np.arange(4000) % 4
    p_values_N, poisoned_N = plant_handed(200, labels_N)
    finds = find_over_all(p_values_N, labels_N, PatternRule(0.05, 10, 0.0025))
    assert finds.labels == (0, 1, 2, 3)
    assert finds.flagged_N[poisoned_N].all()
    assert finds.flagged_N[~poisoned_N].sum() <= 2
    none_N, _ = plant_handed(0, labels_N)
    assert find_over_all(none_N, labels_N, PatternRule(0.05, 10)).labels == ()


def test_a_label_with_false_ones_alone_is_not_suspected() -> None:
    labels_N = np.where(np.arange(4000) < 300, 2, np.arange(4000) % 4)
    labels_N[294:300] = 1
    p_values_N, _ = plant_handed(300, labels_N)
    assert find_over_all(p_values_N, labels_N, PatternRule(0.05, 10)).labels == (2,)
    # Where the triggers are spread over many labels, none has 5 % of them.
    many_N = np.arange(4000) % 40
    p_values_N, _ = plant_handed(320, many_N)
    assert find_over_all(p_values_N, many_N, PatternRule(0.05, 5)).labels == tuple(range(40))


def test_a_small_share_of_all_samples_may_be_copies_of_one_image() -> None:
    labels_N = np.arange(4000) % 4
    p_values_N, _ = plant_handed(30, labels_N)
    assert find_over_all(p_values_N, labels_N, PatternRule(0.05, 10, 0.005)).flagged_N.any()
    assert not find_over_all(p_values_N, labels_N, PatternRule(0.05, 10, 0.01)).flagged_N.any()


def signs_and_pattern(num_signs_alone: int) -> tuple[EvidenceTable, np.ndarray]:
    """Returns 200 samples that a mirror column and a pattern find, and some that signs alone do."""
    generator = np.random.default_rng(0)
    labels_N = np.arange(4000) % 4
    p_values_N, poisoned_N = plant_handed(200, labels_N)
    signs_alone_N = (np.arange(4000) >= 200) & (np.arange(4000) < 200 + num_signs_alone)
    mirror_N = generator.normal(size=4000) + 9 * (poisoned_N | signs_alone_N)
    columns = {
        "mirror": mirror_N,
        "handed_pattern": -np.log(p_values_N),
        "handed_pattern_rarity": 1 - p_values_N,
    }
    table = EvidenceTable(np.arange(4000), labels_N, num_classes=4, columns=columns)
    return table, signs_alone_N


def test_a_pattern_explains_what_signs_find_of_the_same_trigger_and_no_other() -> None:
    decision = Evidence(handed=("handed_pattern",), grown=(), one_sided=(), trusted_by=("mirror",))
    table, false_N = signs_and_pattern(20)
    decided = decision.decide(table, "mirror")
    assert set(range(200)) <= set(decided.positions.flagged)
    assert not np.isin(np.flatnonzero(false_N), decided.positions.flagged).any()
    assert not np.isin(np.flatnonzero(false_N), decided.positions.trusted).any()
    table, other_N = signs_and_pattern(150)
    decided = decision.decide(table, "mirror")
    assert np.isin(np.flatnonzero(other_N), decided.positions.flagged).all()


def test_a_pattern_of_a_label_explains_one_over_all_labels_and_not_the_other_way_round() -> None:
    decision = Evidence(
        antisymmetric=(),
        patterns=("fixed_pattern",),
        handed=("handed_pattern",),
        grown=(),
        one_sided=(),
        trusted_by=("fixed_pattern",),
    )
    table, poisoned_N = plant(60)
    for num_others, are_explained in ((10, True), (40, False)):
        of_handed_N = poisoned_N.copy()
        of_handed_N[np.flatnonzero(table.labels == 3)[:num_others]] = True
        columns = {
            **table.columns,
            "handed_pattern": of_handed_N.astype(float),
            "handed_pattern_rarity": np.where(of_handed_N, 1 - 1e-4, 0.5),
        }
        decided = decision.decide(replace(table, columns=columns), "fixed_pattern")
        of_label_N = find(table, PatternRule(0.05, 10, 0.015)).flagged_N
        expected_N = of_label_N if are_explained else of_label_N | of_handed_N
        assert np.array_equal(decided.positions.flagged, np.flatnonzero(expected_N))
        others = np.flatnonzero(of_handed_N & ~of_label_N)
        assert not np.isin(others, decided.positions.trusted).any()
        assert decided.verdict is not None
        assert decided.verdict.labels_suspected == ((2,) if are_explained else (2, 3))
