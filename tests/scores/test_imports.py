"""What importing the score formulas costs."""

from pathlib import Path

import ray_defense.scores
from tests.support.import_cost import heavy_imports


def test_no_module_of_scores_imports_a_heavy_package():
    folder = Path(ray_defense.scores.__file__).parent
    modules = sorted(path.stem for path in folder.glob("[a-z]*.py"))
    assert "feature_consistency" in modules
    code = "\n".join(f"import ray_defense.scores.{module}" for module in modules)
    assert heavy_imports(code + "\n") == []
