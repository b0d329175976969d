"""What importing the score formulas costs."""

import pytest

from tests.support.import_cost import heavy_imports


@pytest.mark.parametrize("module", ["feature_consistency", "label_free", "split"])
def test_a_module_of_scores_imports_no_heavy_package(module):
    assert heavy_imports(f"import ray_defense.scores.{module}\n") == []
