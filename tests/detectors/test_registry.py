"""Laws of every registered detector: its configuration."""

import pickle

import pytest

from ray_defense.core.config import to_plain
from ray_defense.detectors import DETECTORS
from tests.support.import_cost import heavy_imports_of_units


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_is_plain_data_that_knows_its_name(name):
    detector = DETECTORS[name]()
    assert detector.name == name
    assert to_plain(detector)["kind"] == name
    assert pickle.loads(pickle.dumps(detector)) == detector
    assert isinstance(hash(detector), int)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_first_column_is_the_score_and_all_are_called_after_the_detector(name):
    columns = DETECTORS[name]().columns
    assert columns[0] == name
    assert len(set(columns)) == len(columns)
    assert all(column.startswith(f"{name}_") for column in columns[1:])


def test_no_two_detectors_write_the_same_column():
    columns = []
    for detector in DETECTORS.values():
        columns.extend(detector().columns)
    assert len(set(columns)) == len(columns)


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.detectors", "DETECTORS") == []
