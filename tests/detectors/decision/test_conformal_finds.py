"""What a one-sided column adds, by conformal p-values from the labels that nobody suspects."""

import numpy as np

from ray_defense.detectors.decision.conformal_finds import find_by_reference

LABELS = np.repeat([0, 1, 2], 700)
NOBODY = np.zeros(2100, bool)


def test_missed_samples_are_found_whatever_the_scale_of_their_label():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=2100) * np.array([1, 10, 100])[LABELS] + 50 * LABELS
    scores[:140] += 8
    flagged = NOBODY.copy()
    flagged[:100] = True
    found = find_by_reference(scores, LABELS, flagged, suspected=(0,), rate=0.1)
    assert found[100:140].mean() > 0.9
    assert found[140:].sum() <= 8
    assert not found[:100].any()
    assert not found[700:].any()


def test_without_a_trigger_a_find_is_as_rare_as_the_rate():
    generator = np.random.default_rng(0)
    num_alarms = 0
    for _ in range(300):
        scores = generator.normal(size=2100)
        num_alarms += find_by_reference(scores, LABELS, NOBODY, suspected=(1,), rate=0.1).any()
    assert num_alarms / 300 <= 0.15


def test_without_an_unsuspected_label_there_is_no_reference():
    scores = np.arange(2100.0)
    for suspected in ((0, 1, 2), ()):
        found = find_by_reference(scores, LABELS, NOBODY, suspected=suspected, rate=0.5)
        assert not found.any()
