"""Where work runs: refused where it cannot mean anything, and never part of a fingerprint."""

from typing import Any

import pytest

from ray_defense.core.config import canonical_json, override
from ray_defense.core.errors import InputError
from ray_defense.execution.placement import Placement
from ray_defense.pipeline.recipe import Recipe


def test_a_placement_enters_no_fingerprint():
    assert "placement" not in canonical_json(Recipe("any"))


def test_a_placement_takes_values_by_path():
    assert override(Placement(), "gpus_per_actor", "0.5").gpus_per_actor == 0.5


@pytest.mark.parametrize("wrong", [{"actors": 0}, {"gpus_per_actor": -0.5}, {"nodes": -1}])
def test_a_placement_refuses_what_it_cannot_mean(wrong: dict[str, Any]):
    with pytest.raises(InputError, match="placement"):
        Placement(**wrong)
