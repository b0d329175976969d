"""The note on a column whose highest scores all lie in one label."""

from dataclasses import replace

import numpy as np

from ray_defense.detectors.decision.concentration_notes import concentration_notes
from ray_defense.detectors.decision.evidence import Evidence
from tests.support.planted_evidence import plant

LABELS = np.arange(2000) % 5
NONE = np.zeros(2000, bool)


def scores_with(labels: np.ndarray) -> np.ndarray:
    """Returns noise in which the first 100 samples of some labels stand out."""
    scores = np.random.default_rng(0).normal(size=2000)
    scores[np.flatnonzero(np.isin(LABELS, labels))[:100]] += 20
    return scores


def test_highest_scores_of_one_label_are_named():
    (note,) = concentration_notes("fct_draws", scores_with([3]), LABELS, NONE)
    assert note.startswith("100 of the 100 highest scores of fct_draws lie in label 3")
    assert "no evidence by itself" in note


def test_what_is_spread_or_flagged_or_frequent_or_rare_is_not():
    assert not concentration_notes("f", scores_with([1, 3]), LABELS, NONE)
    assert not concentration_notes("f", scores_with([3]), LABELS, LABELS == 3)
    assert not concentration_notes("f", scores_with([0]), np.where(LABELS < 3, 0, LABELS), NONE)
    assert not concentration_notes("f", scores_with([3])[:900], LABELS[:900], NONE[:900])


def test_the_decision_says_it_where_it_finds_no_evidence():
    planted = plant(6000, 300)
    noise = np.random.default_rng(1).normal(size=6000)
    missed = replace(planted.with_columns(mirror=noise, grow=np.zeros(6000)), metrics={})
    decided = Evidence().decide(missed, "fct_draws")
    assert decided.verdict.verdict == "no evidence"
    assert any("highest scores of fct_draws lie in label 2" in note for note in decided.notes)
    found = Evidence().decide(planted.table, "fct_draws")
    assert found.verdict.verdict == "evidence"
    assert not any("highest scores" in note for note in found.notes)
