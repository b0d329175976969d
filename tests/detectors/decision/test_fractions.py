"""The paper's decision: its fractions, and the notes on a split."""

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.fractions import Fractions, check_assessable, split_notes


def test_the_lowest_are_trusted_and_the_highest_flagged():
    scores = np.random.default_rng(0).permutation(40)
    positions = Fractions(0.25, 0.1).split(scores)
    assert positions.trusted.tolist() == np.flatnonzero(scores < 10).tolist()
    assert positions.flagged.tolist() == np.flatnonzero(scores >= 36).tolist()
    assert len(positions.uncertain) == 26


@pytest.mark.parametrize(("trusted", "flagged"), [(-0.1, 0.1), (0.1, 1.1), (0.6, 0.5)])
def test_fractions_that_leave_the_unit_interval_are_refused(trusted, flagged):
    with pytest.raises(InputError, match=r"decide\."):
        Fractions(trusted, flagged)


def test_notes_do_not_blame_a_class_that_nobody_has():
    scores = np.ones(100)
    assert split_notes(np.array([10, 10, 0]), np.array([50, 50, 0]), scores) == []
    assert split_notes(np.zeros(2, int), np.array([50, 50]), scores) == []


def test_a_note_names_no_more_than_ten_classes():
    trusted_counts = np.array([20, *[0] * 11])
    (note,) = split_notes(trusted_counts, np.full(12, 20), np.ones(240))
    assert "11 of 12 classes" in note
    assert "(classes 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)" in note


def test_equal_scores_are_not_assessable():
    check_assessable(np.array([0.0, 0.0, 1.0]))
    with pytest.raises(InputError, match="not assessable: all 3 scores equal 0 "):
        check_assessable(np.zeros(3))
