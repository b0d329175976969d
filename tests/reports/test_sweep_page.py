"""The page of a sweep: what is drawn over which axes, and names that stay text."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ray_defense.execution.local import LocalExecutor
from ray_defense.reports.sweep_page import draw_metric, render_sweep_page
from ray_defense.store.artifacts import Store
from ray_defense.sweeps.grid import Axis, grid_trials
from ray_defense.sweeps.sweep import run_sweep
from tests.support import tiny
from tests.support.sweep_page import full_row

TAU = "detect.fct.tau"


def row_of(value: float | None, **axes: str) -> dict[str, Any]:
    return {"trial": 0, "auroc": value, **axes}


def test_pairs_of_transforms_make_a_heat_map_of_means():
    rows = [
        row_of(0.25, **{TAU: "flip,crop", "seed": "0"}),
        row_of(0.5, **{TAU: "flip,crop", "seed": "1"}),
    ]
    assert "0.375" in draw_metric(rows, [TAU, "seed"], "auroc")


def test_two_axes_of_numbers_make_a_heat_map_and_one_a_curve():
    rows = [
        row_of(0.125, **{"a.x": "1", "a.y": "2"}),
        row_of(0.75, **{"a.x": "2", "a.y": "3"}),
    ]
    heat_map = draw_metric(rows, ["a.x", "a.y"], "auroc")
    assert "0.125" in heat_map
    assert "0.750" in heat_map
    curve = draw_metric(rows, ["a.x"], "auroc")
    assert curve is not None
    assert "0.125" not in curve


def test_an_axis_of_words_is_not_drawn():
    rows = [row_of(0.5, **{"a.x": "left"}), row_of(0.25, **{"a.x": "right"})]
    assert draw_metric(rows, ["a.x"], "auroc") is None


def test_a_cell_without_a_value_stays_empty():
    rows = [row_of(None, **{TAU: "flip,flip"}), row_of(0.5, **{TAU: "flip,crop"})]
    heat_map = draw_metric(rows, [TAU], "auroc")
    assert "0.500" in heat_map
    assert "nan" not in heat_map.lower()


def test_the_page_shows_the_metrics_that_some_trial_has_and_draws_those_with_a_truth():
    rows = [
        full_row(0, **{"a.x": "1", "backdoored_acc": 0.9, "separation": None}),
        full_row(1, **{"a.x": "2", "backdoored_acc": None, "separation": 2.5}),
    ]
    page = render_sweep_page({"name": "tiny", "seed": 0}, rows, {"backdoored": "backdoored model"})
    for title in ("AUROC of the score", "backdoored model, ACC"):
        assert page.count(f"<figcaption>{title}</figcaption>") == 1
        assert f'<th scope="col">{title}</th>' in page
    assert '<th scope="col">separation</th>' in page
    assert "<figcaption>separation" not in page
    assert "precision of the trusted split" not in page
    assert "trusted balance" not in page


def test_every_defense_of_some_trial_has_its_columns():
    rows = [
        full_row(0, **{"defenses": "d_br", "d_br_acc": 0.5, "d_br_asr": 0.25}),
        full_row(1, **{"defenses": "new_one", "new_one_acc": 0.125, "new_one_asr": None}),
    ]
    page = render_sweep_page(
        {"name": "tiny", "defenses": []}, rows, {"d_br": "D-BR", "new_one": "new one"}
    )
    for title in ("D-BR, ACC", "D-BR, ASR", "new one, ACC"):
        assert f'<th scope="col">{title}</th>' in page
    assert "new one, ASR" not in page


def test_the_page_shows_names_as_text_and_is_the_same_for_the_same_rows(tmp_path: Path):
    tiny.write_digits(tmp_path)
    recipe = replace(
        tiny.recipe(tmp_path), name="<script>alert(1)</script>", backdoored=None, defenses=()
    )
    trials = grid_trials(recipe, [Axis("decide.trusted_fraction", ("0.1", "0.2"))])
    pages = []
    for folder in ("a", "b"):
        store = Store(tmp_path / folder)
        swept = run_sweep(recipe, trials, store, executor=LocalExecutor("numpy"))
        pages.append((swept.path / "sweep.html").read_text())
    assert "<script" not in pages[0]
    assert "&lt;script&gt;" in pages[0]
    assert "http" not in pages[0].split("</style>")[1]
    assert pages[0] == pages[1]
