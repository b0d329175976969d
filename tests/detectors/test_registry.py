"""Laws of every registered detector."""

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.detectors import DETECTORS
from tests.support.import_cost import heavy_imports_of_units


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_knows_its_name_and_scores_by_the_distance_itself_by_default(name):
    detector = DETECTORS[name]()
    distances = np.array([[0.25, 4.0, 0.0]])
    assert detector.name == name
    assert detector.draws == 1
    assert detector.score(distances).tolist() == distances[0].tolist()
    with pytest.raises(InputError, match="1 draws"):
        detector.score(np.ones((2, 3)))


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.detectors", "DETECTORS") == []
