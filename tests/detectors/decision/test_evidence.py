"""The decision that counts: what it flags, what it trusts, and its verdict."""

from dataclasses import replace

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.protocol import Decided, EvidenceTable, check_columns
from ray_defense.detectors.decision.verdict import CanaryResult, Power
from ray_defense.detectors.fct import Fct
from ray_defense.scores.prior_shift import shift_prior
from tests.support.planted_evidence import NUM_CLASSES, plant

EVIDENCE = Evidence(min_for_no_evidence=1000)
SIGNS_ALONE = replace(EVIDENCE, grown=(), one_sided=())


def decide(config: Evidence, table: EvidenceTable) -> Decided:
    return config.decide(table, "fct")


def test_planted_samples_of_one_label_are_flagged_at_the_stated_rate():
    planted = plant()
    decided = decide(Evidence(), planted.table)
    verdict = decided.verdict
    assert verdict.verdict == "evidence"
    assert verdict.labels_suspected == (2,)
    assert verdict.detectors_agree == ("mirror", "fct_draws", "grow")
    is_flagged = np.isin(np.arange(3000), decided.positions.flagged)
    assert is_flagged[planted.poisoned_N].mean() > 0.98
    assert (~planted.poisoned_N[is_flagged]).mean() <= 0.1
    assert verdict.num_flagged == is_flagged.sum()
    assert verdict.num_poisoned.low <= 150 <= verdict.num_poisoned.high


def test_the_share_of_false_finds_by_signs_stays_at_the_rate_on_average():
    false_shares = []
    true_shares = []
    for seed in range(40):
        planted = plant(num_poisoned=100, strength=4.0, seed=seed)
        flagged = decide(SIGNS_ALONE, planted.table).positions.flagged
        false_shares.append((~planted.poisoned_N[flagged]).mean())
        true_shares.append(planted.poisoned_N[flagged].sum() / 100)
    assert np.mean(false_shares) <= 0.05
    assert np.mean(true_shares) > 0.9


def test_triggers_in_all_labels_are_flagged_though_no_label_has_enough_of_them():
    planted = plant(num_poisoned=60, labels=tuple(range(NUM_CLASSES)), strength=6.0)
    config = replace(SIGNS_ALONE, alarm_level=1e-6)
    verdict = decide(config, planted.table).verdict
    assert verdict.verdict == "evidence"
    assert verdict.labels_suspected == ()
    groups = {test.group: test for test in verdict.tests}
    assert groups["rest"].adjusted_p_value < 1e-6
    assert min(groups[label].adjusted_p_value for label in range(NUM_CLASSES)) > 1e-6
    assert 55 <= verdict.num_flagged <= 66


def test_clean_evidence_is_no_evidence_and_flags_nothing():
    for seed in range(60):
        decided = decide(EVIDENCE, plant(num_poisoned=0, seed=seed).table)
        assert decided.verdict.verdict == "no evidence"
        assert not len(decided.positions.flagged)
        assert decided.verdict.num_poisoned is None
        assert decided.verdict.power is None


def test_a_slight_handedness_of_the_source_is_no_evidence():
    generator = np.random.default_rng(0)
    for _ in range(20):
        statistics = generator.normal(loc=0.12, size=20000)
        planted = plant(num_samples=20000, num_poisoned=0)
        decided = decide(SIGNS_ALONE, planted.with_columns(mirror=statistics))
        assert decided.verdict.columns[0].middle_accuracy > 0.505
        assert decided.verdict.verdict == "no evidence"


def test_a_handed_source_is_not_assessable_nor_what_grew_from_it():
    planted = plant(num_poisoned=0)
    handed = planted.with_columns(mirror=planted.table.columns["mirror"] + 1)
    decided = decide(Evidence(), replace(handed, metrics={"grow": {"coherence": 1.0}}))
    verdict = decided.verdict
    assert verdict.verdict == "not assessable"
    assert "mirror images by themselves" in verdict.reasons[0]
    assert "grow learned from the finds of mirror" in verdict.reasons[1]
    assert decided.notes[: len(verdict.reasons)] == list(verdict.reasons)
    assert not len(decided.positions.flagged)
    assert len(decided.positions.trusted)


def test_few_images_are_not_assessable():
    planted = plant(num_samples=150, num_poisoned=60)
    verdict = decide(Evidence(), planted.table).verdict
    assert verdict.verdict == "not assessable"
    assert "only 150 images" in verdict.reasons[0]
    assert "flags 20 samples or none" in verdict.reasons[0]


def test_nothing_found_among_few_images_says_nothing_unless_canaries_were_found():
    table = plant(num_poisoned=0).table
    unmeasured = decide(Evidence(), table).verdict
    assert unmeasured.verdict == "not assessable"
    assert "nothing was found among 3000 images" in unmeasured.reasons[0]
    assert "fewer than 5000" in unmeasured.reasons[0]
    missed = CanaryResult("square", True, 20, num_found=0, num_others=0, evidence=False)
    powerless = Evidence().decide(table, "fct", Power((missed, missed))).verdict
    assert powerless.verdict == "not assessable"
    assert "no planted canaries were found either" in powerless.reasons[0]
    found = replace(missed, num_found=19, evidence=True)
    powerful = Evidence().decide(table, "fct", Power((missed, found))).verdict
    assert powerful.verdict == "no evidence"
    assert powerful.reasons == ()
    many = Evidence().decide(plant(6000, 0).table, "fct", Power((missed,))).verdict
    assert many.verdict == "not assessable"


@pytest.mark.parametrize("num_poisoned", [0, 3, 3000])
def test_row_input_14_no_poison_all_poison_and_a_thousandth_give_no_invented_find(num_poisoned):
    for seed in range(10):
        planted = plant(num_poisoned=num_poisoned, labels=(0, 1, 2, 3, 4), seed=seed)
        decided = decide(EVIDENCE, planted.table)
        flagged = decided.positions.flagged
        assert planted.poisoned_N[flagged].mean() >= 0.7 if len(flagged) else True
        if num_poisoned == 0:
            assert decided.verdict.verdict == "no evidence"
            assert not len(flagged)


def test_equal_images_are_not_assessable():
    equal = np.full(3000, 0.25)
    table = plant(num_poisoned=0).with_columns(mirror=equal, fct_draws=equal, grow=0 * equal)
    verdict = decide(Evidence(), table).verdict
    assert verdict.verdict == "not assessable"
    assert "all 3000 values of mirror equal 0.25" in verdict.reasons[0]
    assert "all 3000 values of fct_draws equal 0.25" in verdict.reasons[1]
    assert "grow learned from the finds of mirror" in verdict.reasons[2]


def test_without_seeds_to_grow_from_the_signs_alone_are_counted():
    planted = plant(num_poisoned=0)
    table = replace(planted.with_columns(grow=np.zeros(3000)), metrics={"grow": {"num_seeds": 0}})
    verdict = decide(EVIDENCE, table).verdict
    assert verdict.verdict == "no evidence"
    assert verdict.reasons == ()


def test_a_probe_that_fits_nothing_is_not_counted():
    planted = plant()
    table = planted.with_metrics(fct_draws={"train_accuracy": 0.21}, grow={"coherence": 0.99})
    verdict = decide(Evidence(), table).verdict
    (report,) = [report for report in verdict.columns if report.column == "fct_draws"]
    assert not report.assessable
    assert not report.agrees
    assert "the probe of fct_draws fits only 21% of the labels" in report.reason
    assert verdict.verdict == "evidence"


def test_coherent_seeds_take_the_place_of_what_they_grew_from():
    planted = plant(num_poisoned=200, strength=2.5)
    by_signs = decide(replace(SIGNS_ALONE, rate=0.2), planted.table).positions.flagged
    grown = decide(Evidence(one_sided=(), rate=0.2), planted.table).positions.flagged
    assert planted.poisoned_N[grown].mean() > 0.9
    assert planted.poisoned_N[by_signs].mean() < 0.9
    expected = []
    for label in range(NUM_CLASSES):
        members = np.flatnonzero(planted.table.labels == label)
        shifted = shift_prior(planted.table.columns["grow"][members], 0.5)
        expected.extend(members[shifted.posteriors_M > 0.5].tolist())
    assert grown.tolist() == sorted(expected)
    assert len(grown) == pytest.approx(200, abs=10)
    assert not np.array_equal(grown, by_signs)
    incoherent = planted.with_metrics(grow={"coherence": 0.7})
    kept = decide(Evidence(one_sided=(), rate=0.2), incoherent).positions.flagged
    assert np.array_equal(kept, by_signs)


def test_coherent_seeds_are_evidence_in_themselves():
    planted = plant()
    noise = np.random.default_rng(1).normal(size=3000)
    table = replace(planted.with_columns(mirror=noise), follows={"grow": "fct_draws"})
    verdict = decide(Evidence(), table).verdict
    assert verdict.verdict == "evidence"
    assert verdict.labels_suspected == (2,)
    assert verdict.num_poisoned is None
    assert verdict.detectors_agree == ("fct_draws", "grow")


def test_what_grew_to_most_of_the_samples_learned_no_trigger():
    planted = plant(num_poisoned=0)
    table = replace(
        planted.with_columns(grow=-planted.table.columns["grow"]),
        metrics={"grow": {"coherence": 1.0}},
    )
    verdict = decide(EVIDENCE, table).verdict
    assert verdict.verdict == "no evidence"
    assert "grow grew to" in verdict.reasons[0]


def test_a_one_sided_column_adds_only_where_others_flagged():
    planted = plant(num_samples=6000, num_poisoned=300)
    weak = planted.table.columns["mirror"].copy()
    hidden = np.flatnonzero(planted.poisoned_N)[:30]
    weak[hidden] = 0.1
    table = planted.with_columns(mirror=weak)
    config = Evidence(grown=())
    alone = decide(SIGNS_ALONE, table)
    both = decide(config, table)
    assert not np.isin(hidden, alone.positions.flagged).any()
    assert np.isin(hidden, both.positions.flagged).mean() > 0.9
    added = np.setdiff1d(both.positions.flagged, alone.positions.flagged)
    assert set(table.labels[added].tolist()) == {2}
    noise = np.random.default_rng(1).normal(size=6000)
    without_signs = decide(config, planted.with_columns(mirror=noise))
    assert without_signs.verdict.verdict == "no evidence"
    assert not len(without_signs.positions.flagged)


def test_the_trusted_are_the_same_share_of_every_label_and_flagged_by_nobody():
    planted = plant(num_poisoned=400)
    decided = decide(Evidence(trusted_fraction=0.25), planted.table)
    trusted = decided.positions.trusted
    suspicious = decided.findings["suspicious"]
    assert not suspicious[trusted].any()
    assert suspicious[decided.positions.flagged].all()
    labels = planted.table.labels
    for label in range(NUM_CLASSES):
        num_candidates = int(((labels == label) & ~suspicious).sum())
        assert int((labels[trusted] == label).sum()) == num_candidates // 4
    assert not planted.poisoned_N[trusted].any()


def test_two_antisymmetric_columns_flag_together_and_share_the_alarm_level():
    planted = plant(num_poisoned=200)
    first = planted.table.columns["mirror"].copy()
    second = np.random.default_rng(1).normal(size=3000)
    moved = np.flatnonzero(planted.poisoned_N)[:100]
    second[moved] = first[moved]
    first[moved] = 0.1
    table = planted.with_columns(mirror=first, shift=second)
    config = replace(SIGNS_ALONE, antisymmetric=("mirror", "shift"))
    decided = decide(config, table)
    is_flagged = np.isin(np.arange(3000), decided.positions.flagged)
    assert is_flagged[planted.poisoned_N].mean() > 0.95
    assert decided.verdict.detectors_agree[:2] == ("mirror", "shift")
    interval = decided.verdict.num_poisoned
    assert interval.low <= is_flagged[planted.poisoned_N].sum() <= interval.high
    (alone,) = [test for test in decide(SIGNS_ALONE, table).verdict.tests if test.group == "all"]
    (shared, _) = [test for test in decided.verdict.tests if test.group == "all"]
    assert shared.p_value == alone.p_value
    assert shared.adjusted_p_value == pytest.approx(2 * alone.adjusted_p_value)


def test_a_column_that_flagged_does_not_choose_whom_to_trust():
    planted = plant()
    noise = np.random.default_rng(1).normal(size=3000)
    table = planted.with_columns(other=noise)
    config = Evidence(trusted_by=("mirror", "other"), grown=(), one_sided=())
    trusted = decide(config, table).positions.trusted
    suspicious = decide(config, table).findings["suspicious"]
    for label in range(NUM_CLASSES):
        members = np.flatnonzero((table.labels == label) & ~suspicious)
        chosen = members[np.argsort(noise[members])[: len(members) // 5]]
        assert set(chosen.tolist()) <= set(trusted.tolist())


def test_every_sample_is_in_one_part_and_the_same_evidence_gives_the_same_decision():
    planted = plant()
    first = decide(Evidence(), planted.table)
    second = decide(Evidence(), planted.table)
    parts = [first.positions.trusted, first.positions.flagged, first.positions.uncertain]
    assert sorted(np.concatenate(parts).tolist()) == list(range(3000))
    assert first.positions.part_names().tolist() == second.positions.part_names().tolist()
    assert first.verdict == second.verdict


def test_a_column_that_no_detector_gives_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"needs the column 'mirror'.*give only fct: add"):
        check_columns(Evidence(), (Fct(),))
    by_fct = Evidence(antisymmetric=("fct",), grown=(), one_sided=(), trusted_by=("fct",))
    check_columns(by_fct, (Fct(),))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 0}, r"decide\.rate"),
        ({"alarm_level": 2.0}, r"decide\.alarm_level"),
        ({"sign_chance": 0.4}, r"decide\.sign_chance"),
        ({"antisymmetric": (), "grown": ()}, "all empty"),
        ({"one_sided": ("mirror",)}, "holds mirror 2 times"),
        ({"trusted_by": ()}, "trusted_by is empty"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Evidence(**fields)


def test_what_is_like_the_seeds_in_a_label_without_a_trigger_is_not_flagged():
    planted = plant(num_poisoned=300, strength=3.0)
    few = np.flatnonzero(planted.table.labels == 4)[:3]
    grow = planted.table.columns["grow"].copy()
    grow[few] = 2.0  # above 0, as a white corner of a clean picture may be
    decided = decide(Evidence(one_sided=()), planted.with_columns(grow=grow))
    assert decided.verdict.labels_suspected == (2,)
    assert not np.isin(few, decided.positions.flagged).any()
    assert not np.isin(few, decided.positions.trusted).any()
