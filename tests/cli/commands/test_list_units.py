"""`list` names every recipe, sweep and unit."""

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.cli.commands.list_units import unit_names
from ray_defense.cli.main import main
from ray_defense.defenses import DEFENSES
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


@pytest.mark.parametrize("kind", unit_names())
def test_list_of_one_kind_says_what_each_unit_is(kind: str, capsys: pytest.CaptureFixture[str]):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(unit_names()[kind])
    for line in lines:
        assert len(line.split()) > 2


def test_list_of_defenses_says_what_each_one_needs(capsys: pytest.CaptureFixture[str]):
    main(["list", "defenses"])
    lines = capsys.readouterr().out.splitlines()
    for line, defense in zip(lines, DEFENSES.values(), strict=True):
        assert f"needs {defense.needs}." in line


def test_an_unknown_kind_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "defences"]) == 2
    assert "did you mean 'defenses'" in capsys.readouterr().err
