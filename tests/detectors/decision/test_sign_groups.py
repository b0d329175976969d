"""Signs counted label by label."""

from dataclasses import replace

import numpy as np

from ray_defense.detectors.decision.sign_groups import SignRule, find_by_signs, num_sign_tests
from ray_defense.scores.knockoff import knockoff_threshold
from ray_defense.scores.sign_scan import sign_scan_p_value

RULE = SignRule(rate=0.1, level=0.01, num_tests=num_sign_tests(1, 3), chance=0.5)


def test_a_label_with_a_trigger_is_counted_apart_and_the_rest_without_it():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 4, 7], 400)
    statistics = generator.normal(size=1200)
    statistics[400:460] += 6
    finds = find_by_signs("mirror", statistics, labels, RULE)
    assert finds.labels == (4,)
    assert not finds.rest_has_evidence
    threshold = knockoff_threshold(statistics[400:800], 0.1)
    expected = (labels == 4) & (statistics >= threshold)
    assert np.array_equal(finds.flagged_N, expected)
    assert [test.group for test in finds.tests] == [0, 4, 7, "all", "rest"]
    of_label = finds.tests[1]
    assert of_label.num_samples == 400
    assert of_label.num_flagged == expected.sum()
    assert of_label.p_value == sign_scan_p_value(statistics[400:800])
    assert of_label.adjusted_p_value == 5 * of_label.p_value
    assert finds.num_poisoned.low <= 60 <= finds.num_poisoned.high


def test_a_column_without_a_trigger_flags_nothing_but_may_be_suspicious():
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 4, 7], 400)
    num_suspicious = 0
    strict = replace(RULE, level=1e-4)
    for _ in range(50):
        finds = find_by_signs("mirror", generator.normal(size=1200), labels, strict)
        assert not finds.flagged_N.any()
        assert finds.num_poisoned.high == 0
        num_suspicious += finds.suspicious_N.any()
    assert num_suspicious > 0


def test_false_alarms_over_all_labels_are_as_rare_as_the_level():
    generator = np.random.default_rng(0)
    rule = SignRule(rate=0.5, level=0.1, num_tests=num_sign_tests(1, 3), chance=0.5)
    labels = np.repeat([0, 4, 7], 100)
    num_alarms = 0
    for _ in range(400):
        num_alarms += find_by_signs("w", generator.normal(size=300), labels, rule).flagged_N.any()
    assert num_alarms / 400 <= 0.1
