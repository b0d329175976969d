"""Laws of every registered decision."""

import numpy as np
import pytest

from ray_defense.detectors.decision import DECISIONS
from tests.support.import_cost import heavy_imports_of_units


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_knows_its_name_and_puts_every_sample_in_one_part(name):
    decision = DECISIONS[name]()
    positions = decision.split(np.random.default_rng(0).random(100))
    parts = [positions.trusted, positions.flagged, positions.uncertain]
    assert decision.name == name
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.detectors.decision", "DECISIONS") == []
