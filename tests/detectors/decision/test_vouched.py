"""What the user vouches for is never flagged, always trusted, and a reference for the rest."""

from dataclasses import replace

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.conformal_finds import find_by_reference
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.detectors.decision.protocol import EvidenceTable
from ray_defense.detectors.decision.vouched import (
    set_vouched_aside,
    vouched_samples,
    with_vouched,
)
from tests.support.planted_evidence import NUM_CLASSES, plant


def rows_of(table: EvidenceTable, rows: np.ndarray) -> EvidenceTable:
    columns = {name: values[rows] for name, values in table.columns.items()}
    return replace(table, index=table.index[rows], labels=table.labels[rows], columns=columns)


def test_samples_behind_an_index_are_vouched_for_and_so_are_equal_ones_of_their_label():
    index = np.array([0, 2, 3, 7, 8])
    labels = np.array([1, 0, 1, 1, 0])
    hashes = ["a", "a", "b", "a", "c"]
    vouched = vouched_samples(index, labels, hashes, 7)
    assert vouched.tolist() == [True, False, False, True, True]


@pytest.mark.parametrize("config", [Evidence(), Fractions(0.1, 0.1)], ids=lambda unit: unit.name)
def test_vouched_samples_are_trusted_whatever_their_scores_and_no_test_counts_them(config):
    planted = plant()
    vouched_N = np.zeros(3000, bool)
    vouched_N[np.flatnonzero(planted.poisoned_N)[:20]] = True  # with the highest scores of all
    vouched_N[-100:] = True
    judged = set_vouched_aside(planted.table, vouched_N)
    decided = config.decide(judged, "mirror")
    whole = with_vouched(decided, vouched_N)
    parts = whole.positions.part_names()
    assert len(parts) == 3000
    assert (parts[vouched_N] == "trusted").all()
    assert np.array_equal(parts[~vouched_N], decided.positions.part_names())
    assert np.array_equal(whole.scores[~vouched_N], decided.scores)
    assert (whole.scores[vouched_N] == decided.scores.min()).all()
    assert "are trusted by their user" in whole.notes[-1]
    if decided.verdict is not None:
        alone = config.decide(rows_of(planted.table, ~vouched_N), "mirror").verdict
        assert decided.verdict.tests == alone.tests
        assert decided.verdict.num_samples == 3000 - vouched_N.sum()
        for values in whole.findings.values():
            assert not values[vouched_N].any()


def test_with_vouched_samples_a_one_sided_column_finds_more_where_all_labels_are_suspected():
    planted = plant(num_poisoned=300, labels=tuple(range(NUM_CLASSES)), strength=6.0)
    table = planted.table
    scores = table.columns["fct_draws"]
    none = np.zeros(3000, bool)
    everything = {"suspected": range(NUM_CLASSES), "rate": 0.05}
    assert not find_by_reference(scores, table.labels, none, **everything).any()
    vouched_N = np.arange(3000) >= 2000
    vouched_N &= ~planted.poisoned_N
    finds_N = find_by_reference(scores, table.labels, none, vouched_N=vouched_N, **everything)
    hidden_N = planted.poisoned_N & ~vouched_N
    assert finds_N[hidden_N].mean() > 0.9
    assert not finds_N[vouched_N].any()
    assert (~planted.poisoned_N[finds_N]).mean() < 0.1


def test_the_decision_that_counts_hands_them_to_the_one_sided_columns():
    planted = plant(num_poisoned=300, labels=tuple(range(NUM_CLASSES)), strength=3.0)
    vouched_N = (np.arange(3000) >= 1500) & ~planted.poisoned_N
    grow = planted.table.columns["grow"].copy()
    grow[np.flatnonzero(planted.poisoned_N)[::2]] = -30  # left to the other columns
    judged = set_vouched_aside(planted.with_columns(grow=grow), vouched_N)
    config = Evidence()
    with_reference = config.decide(judged, "mirror")
    without = config.decide(replace(judged, vouched=None), "mirror")
    column = "fct_draws_flagged"
    assert with_reference.findings[column].sum() > without.findings[column].sum()


def test_data_of_which_all_is_trusted_is_refused():
    with pytest.raises(InputError, match="none is left to be judged"):
        set_vouched_aside(plant().table, np.ones(3000, bool))
