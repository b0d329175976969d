"""Tables of defenses by split and of clean sets hold what was measured, and say what was not."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import documents
from benchmarks.clean_sets.sets import clean_sets
from benchmarks.defenses.__main__ import CHOSEN, PAPER
from benchmarks.tables.clean_sets import clean_sets_table
from benchmarks.tables.defenses import defenses_table
from benchmarks.tables.gpu import parity_table
from ray_defense.core.files import write_json


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of its own."""
    monkeypatch.setattr(documents, "RESULTS", tmp_path)
    return tmp_path


def rates(asr: float, relapse: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "acc": 0.7,
        "asr": asr,
        "robust_acc": 0.5,
        "num_clean": 10_000,
        "num_triggered": 9_000,
        "relapse": relapse,
    }


def write_defenses(folder: Path, recipe: str, attack: str, result: dict[str, Any]) -> None:
    file = folder / "defenses" / f"{recipe}_{attack}_seed0.json"
    file.parent.mkdir(exist_ok=True)
    write_json(file, {"attack": attack, "result": {"recipe": recipe, **result}})


def test_a_row_has_both_splits_and_a_dash_where_one_was_not_run(results: Path) -> None:
    models = {"backdoored": rates(0.99), "d_br": rates(0.01), "d_st": rates(0.02)}
    paper = {
        "models": models,
        "weak_attack": False,
        "verdict": None,
        "score": {"flagged_precision": 0.25},
    }
    chosen = {**paper, "verdict": "no evidence", "score": {"flagged_precision": None}}
    write_defenses(results, PAPER, "sig", paper)
    write_defenses(results, CHOSEN, "sig", chosen)
    write_defenses(results, CHOSEN, "badnets", {**chosen, "weak_attack": True})
    badnets, sig = defenses_table().rows
    assert badnets[0] == "`badnets`, **weak attack**"
    assert badnets[1:3] == ["10,000 / 9,000", "70.0 / 99.0 / 50.0"]
    assert badnets[3:5] == ["–", "–"]
    assert badnets[7:] == ["–", "no evidence"]
    assert sig[0] == "`sig`"
    assert sig[3:5] == sig[5:7] == ["70.0 / 1.0 / 50.0", "70.0 / 2.0 / 50.0"]
    assert sig[7:] == ["25.0 %", "no evidence"]


def test_a_relapse_is_shown_where_it_was_measured(results: Path) -> None:
    relapsed = rates(0.01, {"acc": 0.6, "asr": 0.9})
    result = {
        "models": {"backdoored": rates(0.99), "d_br": relapsed, "d_st": rates(0.02)},
        "weak_attack": False,
        "verdict": "evidence",
        "score": {"flagged_precision": 1.0},
    }
    write_defenses(results, CHOSEN, "sig", result)
    (row,) = defenses_table().rows
    assert row[5] == "70.0 / 1.0 / 50.0; relapse 60.0 / 90.0"


def test_verdicts_on_clean_sets_are_counted_by_kind_and_size(results: Path) -> None:
    (results / "clean_sets").mkdir()
    sizes = [clean_set for clean_set in clean_sets() if clean_set.size == 5_000]
    measured = zip(sizes, ("no evidence", "evidence", "no evidence"), strict=False)
    for number, (clean_set, verdict) in enumerate(measured):
        reports = [{"middle_accuracy": 0.51 + number / 100}, {"middle_accuracy": None}]
        decision = {"verdict": verdict, "num_false": 10 * number, "reports": reports}
        file = results / "clean_sets" / f"{clean_set.name}.json"
        write_json(file, {"num_samples": 5_000, "decision": decision})
    (row,) = clean_sets_table().rows
    assert row[1:] == [f"3 of {len(sizes)}", "1", "2", "0", "30 of 15,000", "0.530"]


def test_every_check_of_parity_is_in_one_row() -> None:
    checks = documents.load_result("gpu/parity.json")["checks"]
    num_counted = 0
    for row in parity_table().rows:
        num_counted += int(row[1].split(" of ")[1])
    assert num_counted == len(checks)
