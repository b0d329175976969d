"""`attacks check`: which attacks are checked, and what becomes of one that is refused."""

from collections.abc import Sequence

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.attacks.protocol import Attack
from ray_defense.cli.main import main
from ray_defense.core.config import override
from ray_defense.execution.placement import ANYWHERE
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.studies.attack_strength import AttackStrength
from tests.support.command_line import replace_call
from tests.support.results import GOOD_MODEL


def strong_attack(name: str, in_paper: bool = True) -> AttackStrength:
    return AttackStrength(
        attack=name,
        in_paper=in_paper,
        num_poisoned=7,
        backdoored=GOOD_MODEL,
        clean=GOOD_MODEL,
        acc_change=0.0,
        weak=False,
    )


def measure_as_strong(
    recipe: Recipe, attacks: Sequence[Attack], **options: object
) -> tuple[AttackStrength, ...]:
    return tuple(strong_attack(attack.name, attack.in_paper) for attack in attacks)


@pytest.mark.parametrize(
    ("named", "expected"), [((), tuple(ATTACKS)), (("sig", "badnets", "sig"), ("sig", "badnets"))]
)
def test_the_attacks_named_are_checked_or_else_all(
    named: tuple[str, ...],
    expected: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    calls = replace_call(monkeypatch, "check_attacks", measure_as_strong)
    words = ["attacks", "check", *named, "--store", "s", "--executor", "local"]
    words += ["--backend", "numpy", "--set", "seed=2"]
    if named:
        words += ["--set", "attack.target.label=3"]
    assert main(words) == 0
    ((recipe, attacks),) = calls.arguments
    seeded = override(RECIPES["digits_badnets"](), "seed", 2)
    assert recipe == override(seeded, "attack", "none")
    assert tuple(attack.name for attack in attacks) == expected
    if named:
        assert all(attack.target.label == 3 for attack in attacks)
    assert calls.options == [
        {"store": "s", "executor": "local", "backend": "numpy", "placement": ANYWHERE}
    ]
    assert expected[0] in capsys.readouterr().out


def test_one_refused_attack_is_a_row_with_its_reason_and_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rows = (
        strong_attack("badnets"),
        AttackStrength("sig", in_paper=True, refused="too\x1b small"),
    )
    replace_call(monkeypatch, "check_attacks", lambda recipe, attacks, **options: rows)
    assert main(["attacks", "check", "badnets", "sig", "--backend", "numpy"]) == 2
    captured = capsys.readouterr()
    assert "98.1 %" in captured.out
    assert r"sig refused: too\x1b small" in captured.out
    assert "attacks.json: " in captured.out
    expected = "ray-defense: 1 of 2 attacks were refused, for the reasons above: sig\n"
    assert captured.err == expected
