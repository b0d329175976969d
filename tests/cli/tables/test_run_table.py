"""The table of a run: rates with intervals, nothing claimed without a truth, nothing but text."""

import pytest

from ray_defense.cli.tables.run_table import WEAK, run_table
from ray_defense.reports.result import Result
from ray_defense.stages.evaluation import WEAK_ASR
from tests.support.command_line import as_text
from tests.support.results import make_result


def table_text(result: Result, width: int = 100) -> str:
    return as_text(run_table(result), width)


def test_the_table_shows_rates_with_their_intervals():
    shown = table_text(make_result(notes=("doubt this",)))
    assert "98.1 %  [96.2, 99.0]" in shown
    assert "0.6 %  [0.0, 2.0]" in shown
    assert "0.998" in shown
    assert "20 to 31 in 2 classes: 20, 31" in shown
    assert "ingest 1.0, probe 20.0" in shown
    assert "warning: doubt this" in shown


def test_the_table_without_truth_claims_nothing():
    shown = table_text(make_result(truth=False))
    assert "%" not in shown.replace("95 % Clopper-Pearson", "")
    assert shown.count("n/a") == 12


def test_the_table_fits_eighty_columns():
    lines = table_text(make_result(notes=("long " * 40,)), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("[96.2, 99.0]" in line for line in lines)


def test_the_table_shows_names_as_text():
    shown = table_text(make_result(recipe="a\x1b[31mb[bold]c", notes=("\x1b]0;x\x07 [red]y",)))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert r"a\x1b[31mb[bold]c" in shown
    assert "[red]y" in shown


@pytest.mark.parametrize("weak", [True, False, None])
def test_a_weak_attack_and_no_other_is_called_weak(weak: bool | None):
    assert WEAK == (
        f"weak attack: the backdoored model's ASR is under {100 * WEAK_ASR:g} %, "
        "which the paper's tables leave out"
    )
    assert (WEAK in table_text(make_result(weak=weak))) is (weak is True)


def test_a_model_is_called_by_the_title_that_its_defense_gave():
    shown = table_text(make_result())
    assert "a good model" in shown
    assert "D-ST" in shown
