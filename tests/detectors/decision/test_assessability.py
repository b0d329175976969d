"""Which columns can be counted."""

from dataclasses import replace

import numpy as np
import pytest

from ray_defense.detectors.decision.assessability import Limits, assess_columns
from tests.support.planted_evidence import plant

LIMITS = Limits(max_middle_accuracy=0.55, max_grown_fraction=0.5, max_alikeness=0.05)


def column_with_accuracy(num_samples: int, accuracy: float) -> np.ndarray:
    """Returns statistics of equal sizes, of which a share is positive, evenly spread."""
    ranks = np.arange(num_samples)
    is_positive = np.floor((ranks + 1) * accuracy) > np.floor(ranks * accuracy)
    return np.where(is_positive, 1.0, -1.0)


@pytest.mark.parametrize(
    ("num_samples", "accuracy", "assessable"),
    [(20000, 0.54, True), (20000, 0.56, False), (400, 0.56, True), (400, 0.62, False)],
)
def test_a_source_is_handed_above_the_limit_and_above_chance(num_samples, accuracy, assessable):
    planted = plant(num_samples, 0)
    table = planted.with_columns(mirror=column_with_accuracy(num_samples, accuracy))
    column = assess_columns(table, {"mirror": "antisymmetric"}, LIMITS)["mirror"]
    assert column.middle_accuracy == pytest.approx(accuracy, abs=0.01)
    assert column.assessable == assessable


def test_a_symmetric_source_is_assessable_however_small():
    num_refused = 0
    for seed in range(300):
        planted = plant(200, 0, seed=seed)
        column = assess_columns(planted.table, {"mirror": "antisymmetric"}, LIMITS)["mirror"]
        num_refused += not column.assessable
    assert num_refused <= 3


def test_a_column_that_follows_none_of_those_counted_stands_by_itself():
    table = replace(plant().table, follows={"grow": "another"})
    columns = assess_columns(table, {"grow": "grown", "mirror": "antisymmetric"}, LIMITS)
    assert columns["grow"].assessable
    assert columns["grow"].coherence == 0.99
    assert columns["grow"].middle_accuracy is None
