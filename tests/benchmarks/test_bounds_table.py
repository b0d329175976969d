"""The table of bounds has a column for each setting that was measured, and a row for each stage."""

from pathlib import Path

import pytest

from benchmarks.bounds.cells import CELLS
from benchmarks.tables import bounds
from benchmarks.turns import compare_pairs, take_turns
from ray_defense.core.files import write_json


def test_each_measured_setting_has_a_column_and_each_stage_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "RESULTS", tmp_path)
    figures = compare_pairs(1000, stage_s=[1.0, 2.0, 4.0], bare_s=[1.0, 1.0, 1.0])
    (tmp_path / "bounds" / "small_resnet_cpu").mkdir(parents=True)
    write_json(tmp_path / "bounds" / "small_resnet_cpu" / "d_br.json", figures)
    (tmp_path / "gpu").mkdir()
    write_json(tmp_path / "gpu" / "bounds.json", {"cells": {"mirror": figures}})
    table = bounds.bounds_table()
    assert len(table.head) == 3
    assert len(table.rows) == len(CELLS)
    of_stage = {row[0]: row[1:] for row in table.rows}
    assert of_stage["D-BR"] == ["500 / 1,000, 0.50 (0.25–1.00)", ""]
    assert of_stage["a network of the mirror filter"][0] == ""


def test_without_results_the_table_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match="benchmarks.bounds"):
        bounds.bounds_table()


def test_sides_take_turns_and_the_first_pair_does_not_count() -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    turns = take_turns(lambda: side("stage"), lambda: side("bare"), num_repeats=2)
    assert calls == ["bare", "stage", "stage", "bare", "bare", "stage"]
    assert turns.stage_s == (3.0, 6.0)
    assert turns.bare_s == (4.0, 5.0)
