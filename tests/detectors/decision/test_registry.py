"""Laws of every registered decision."""

from dataclasses import replace

import numpy as np
import pytest

from ray_defense.detectors.decision import DECISIONS
from tests.support.import_cost import heavy_imports_of_units
from tests.support.planted_evidence import plant


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_knows_its_name_and_puts_every_sample_in_one_part(name):
    decision = DECISIONS[name]()
    positions = decision.split(np.random.default_rng(0).random(100))
    parts = [positions.trusted, positions.flagged, positions.uncertain]
    assert decision.name == name
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_by_evidence_covers_every_sample_once_and_says_whether_it_has_a_verdict(name):
    decision = DECISIONS[name]()
    table = plant().table
    decided = decision.decide(table, "fct_draws")
    positions = decided.positions
    parts = [positions.trusted, positions.flagged, positions.uncertain]
    assert sorted(np.concatenate(parts).tolist()) == list(range(table.num_samples))
    assert decided.scores.shape == (table.num_samples,)
    assert (decided.verdict is not None) == decision.gives_verdict
    assert set(decision.columns_used) <= set(table.columns)


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_follows_the_samples_in_any_order(name):
    decision = DECISIONS[name]()
    table = plant().table
    order = np.random.default_rng(1).permutation(table.num_samples)
    columns = {column: values[order] for column, values in table.columns.items()}
    shuffled = replace(table, index=table.index[order], labels=table.labels[order], columns=columns)
    parts = decision.decide(table, "fct_draws").positions.part_names()
    parts_of_shuffled = decision.decide(shuffled, "fct_draws").positions.part_names()
    assert np.array_equal(parts[order], parts_of_shuffled)


@pytest.mark.parametrize("name", DECISIONS)
def test_poisoned_samples_are_flagged_more_often_than_others_and_trusted_less_often(name):
    planted = plant()
    parts = DECISIONS[name]().decide(planted.table, "fct_draws").positions.part_names()
    poisoned = planted.poisoned_N
    for part, sign in (("flagged", 1), ("trusted", -1)):
        members = parts == part
        assert sign * (members[poisoned].mean() - members[~poisoned].mean()) > 0.1


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.detectors.decision", "DECISIONS") == []
