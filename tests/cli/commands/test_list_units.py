"""`list` names every recipe, sweep and unit."""

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.cli.commands.list_units import unit_names
from ray_defense.cli.main import main
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS


def test_list_names_every_recipe_and_attack(capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in (*RECIPES, *PAPER_SWEEPS, *ATTACKS, *unit_names()):
        assert name in shown
    for names in unit_names().values():
        assert ", ".join(names) in shown
    assert "The demo: scikit-learn's digits" in shown
