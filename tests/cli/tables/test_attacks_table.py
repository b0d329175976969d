"""The table of attacks: whole in eighty columns, and weak attacks called weak."""

import pytest

from ray_defense.cli.tables.attacks_table import attacks_table
from ray_defense.cli.tables.run_table import WEAK
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.reports.result import ModelResult
from ray_defense.studies.attack_strength import AttackStrength
from tests.support.command_line import as_text, line_with
from tests.support.results import GOOD_MODEL, NOTHING_MEASURED


def table_text(rows: list[AttackStrength], width: int = 100) -> str:
    return as_text(attacks_table(RECIPES["digits_badnets"](), rows), width)


def measured(
    attack: str,
    acc_change: float | None,
    weak: bool | None,
    *,
    model: ModelResult = GOOD_MODEL,
    clean: ModelResult = GOOD_MODEL,
    num_poisoned: int = 9,
    num_cover: int = 0,
) -> AttackStrength:
    return AttackStrength(
        attack=attack,
        in_paper=True,
        num_poisoned=num_poisoned,
        num_cover=num_cover,
        backdoored=model,
        clean=clean,
        acc_change=acc_change,
        weak=weak,
    )


@pytest.mark.parametrize("weak", [True, False, None])
def test_a_weak_attack_and_no_other_is_called_weak(weak: bool | None):
    shown = table_text([measured("a", -0.1, weak), measured("b", 0.0, False)])
    assert (WEAK in shown) is (weak is True)
    assert line_with(shown, " a  ").split()[-1] == ("weak" if weak else "-10.0")


@pytest.mark.parametrize("width", [80, 100])
def test_the_attacks_table_is_whole_in_eighty_columns(width: int):
    surest = ModelResult(
        title="backdoored model",
        acc=1.0,
        asr=1.0,
        num_clean=9999,
        num_triggered=9999,
        acc_interval=[0.999, 1.0],
        asr_interval=[0.999, 1.0],
        acc_target_excluded=1.0,
    )
    longest = measured(
        "badnets_all2all", -0.5, True, model=surest, num_poisoned=5000, num_cover=5000
    )
    refused = AttackStrength("sig", in_paper=True, refused="because")
    shown = table_text([longest, refused], width)
    assert max(map(len, shown.splitlines())) <= width
    for part in (
        "badnets_all2all",
        "5000 + 5000",
        "100.0 %",
        "[99.9–100.0]",
        "-50.0",
        "weak",
        "refused",
        "sig refused: because",
    ):
        assert part in shown
    assert "the clean model's 98.1 %  [96.2, 99.0]" in shown
    assert "poisoned + cover" in shown


def test_an_attack_without_a_test_set_has_no_rates_and_no_change():
    row = measured("badnets", None, None, model=NOTHING_MEASURED, clean=NOTHING_MEASURED)
    shown = table_text([row])
    cells = line_with(shown, "badnets ", "yes").split()
    assert cells == ["badnets", "yes", "9", "n/a", "n/a", "n/a"]
    assert "weak" not in shown
