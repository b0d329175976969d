"""The paper's tables and figures as sweeps: their runs, their cells, their hours."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.reports.reproduction import Rate, ReproducedTable, render_markdown, render_page
from ray_defense.studies.departures import DEPARTURES
from ray_defense.studies.paper_tables import TABLE_2
from ray_defense.studies.planned_hours import PACES, plan_hours
from ray_defense.studies.reproduced_cells import reproduced_cells
from ray_defense.studies.reproduction import REPRODUCTIONS, SCALES, plan_reproduction
from ray_defense.sweeps.sweep import SweepOverview

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_every_table_has_its_runs_at_a_scale_that_it_names(name):
    reproduction = REPRODUCTIONS[name]
    for scale in SCALES:
        if scale not in reproduction.recipes:
            with pytest.raises(InputError, match=f"{name} has no runs at the scale"):
                plan_reproduction(name, scale, 1)
            continue
        for panel in plan_reproduction(name, scale, 2):
            if panel.variant is not None:
                continue
            columns = len(panel.axis.values) if panel.axis else 1
            assert len(panel.trials) == 2 * columns * len(reproduction.attacks)
            named = [defense.name for defense in panel.recipe.defenses]
            assert named == list(reproduction.defenses)
            assert {trial.recipe.attack.name for trial in panel.trials} == set(reproduction.attacks)


def test_seeds_are_those_of_the_run_and_of_the_attacker():
    (panel, _) = plan_reproduction("table1", "small", 2, attacks=["sig"])
    assert [(t.recipe.seed, t.recipe.poison.seed) for t in panel.trials] == [(0, 0), (1, 1)]


def test_the_two_panels_of_a_table_differ_in_the_split_alone():
    paper, chosen = plan_reproduction("table2", "small", 1, attacks=["badnets"])
    assert paper.recipe.decide.name == "fractions"
    assert chosen.recipe.decide.name == "evidence"
    assert paper.recipe.defenses == chosen.recipe.defenses
    assert paper.recipe.source == chosen.recipe.source


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table9", "small", 1), "unknown table or figure .table9."),
        (("table1", "small", 0), "--seeds must be at least 1"),
        (("table5", "small", 1), "take --scale paper"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(arguments, message):
    with pytest.raises(InputError, match=message):
        plan_reproduction(*arguments)
    with pytest.raises(InputError, match="badnets"):
        plan_reproduction("table1", "small", 1, attacks=["badnet"])


def test_a_departure_changes_its_own_field_alone_on_the_attacks_that_it_concerns():
    panels = plan_reproduction("departures", "small", 1)
    by_title = {panel.variant.title: panel for panel in panels}
    assert len({panel.name for panel in panels}) == len(panels) == len(DEPARTURES)
    paper = {trial.recipe.attack.name: trial.recipe for trial in by_title["paper"].trials}
    assert set(paper) == {"badnets", "blend_signal", "sig", "label_consistent"}
    for panel in panels:
        for trial in panel.trials:
            recipe = trial.recipe
            for path, value in panel.variant.changes.items():
                assert recipe != paper[recipe.attack.name], (path, value)
            if not panel.variant.changes:
                assert recipe == paper[recipe.attack.name]
    (cast_first,) = by_title["D5: cast before clipping"].trials
    expected = override(paper["label_consistent"], "attack.overflow", "wrap")
    assert cast_first.recipe == expected
    assert by_title["D3: positives of the authors"].models == ("d_st",)
    (panel,) = plan_reproduction("departures", "small", 1, attacks=["sig"])[:1]
    assert [trial.recipe.attack.name for trial in panel.trials] == ["sig"]


def test_what_only_reads_other_numbers_runs_nothing_of_its_own():
    panels = plan_reproduction("departures", "small", 2)
    by_title = {panel.variant.title: panel for panel in panels}
    for title in ("D7: the round by test data", "D8: ACC without the target class"):
        assert by_title[title].trials == by_title["paper"].trials
        assert by_title[title].recipe == by_title["paper"].recipe


def test_the_oracles_round_and_the_acc_without_the_target_class_are_columns():
    panels = plan_reproduction("departures", "small", 1, attacks=["sig"])
    by_title = {panel.variant.title: panel for panel in panels}
    row = {"attack": "sig", "d_br_acc": 0.4, "d_br_asr": 0.1, "d_br_robust_acc": 0.3}
    row.update({"d_br_best_round_acc": 0.7, "d_br_best_round_asr": 0.2})
    row["d_br_target_excluded_acc"] = 0.5
    reproduction = REPRODUCTIONS["departures"]
    (cell,) = reproduced_cells(reproduction, by_title["D7: the round by test data"], [row])
    assert (cell.acc.mean, cell.asr.mean, cell.robust_acc) == (70, 20, None)
    cell, _ = reproduced_cells(reproduction, by_title["D8: ACC without the target class"], [row])
    assert (cell.column, cell.acc.mean, cell.asr) == ("D8: ACC without the target class", 50, None)


def rows_of(accs: list[float], attack: str = "badnets") -> list[dict[str, object]]:
    rows = []
    for acc in accs:
        row = {"attack": attack, "auroc": 0.5, "weak_attack": acc < 0.5}
        for model in ("backdoored", "ft", "anp", "nad", "mcr", "abl", "d_br"):
            row.update({f"{model}_acc": acc, f"{model}_asr": 1 - acc, f"{model}_robust_acc": None})
        rows.append(row)
    return rows


def test_cells_are_mean_and_range_over_seeds_beside_the_papers():
    panel = plan_reproduction("table2", "small", 2)[0]
    cells = reproduced_cells(REPRODUCTIONS["table2"], panel, rows_of([0.6, 0.8, 0.7]))
    assert [cell.column for cell in cells] == list(TABLE_2.models)
    cell = cells[-1]
    assert (cell.model, cell.needs, cell.num_seeds) == ("D-BR", "a split", 3)
    assert (cell.acc.mean, cell.acc.least, cell.acc.most) == pytest.approx((70, 60, 80))
    assert cell.paper == (92.83, 0.40)
    assert cell.robust_acc is None
    assert not cell.weak_attack
    assert reproduced_cells(REPRODUCTIONS["table2"], panel, rows_of([0.6, 0.4]))[0].weak_attack
    assert Counter(cell.needs for cell in cells)["clean data"] == 4


def test_columns_of_a_figure_are_the_values_of_its_axis():
    (panel,) = plan_reproduction("fig5", "small", 1)
    rows = []
    for steps, acc in (("unlearn", 0.3), ("relearn", 0.5), ("unlearn,relearn", 0.7)):
        rows.extend({**row, "d_br.steps": steps} for row in rows_of([acc]))
    cells = reproduced_cells(REPRODUCTIONS["fig5"], panel, rows)
    assert [(cell.column, round(cell.acc.mean)) for cell in cells] == [
        ("unlearn", 30),
        ("relearn", 50),
        ("unlearn,relearn", 70),
    ]


def test_the_table_says_what_is_missing_and_the_page_loads_nothing():
    panel = plan_reproduction("table2", "small", 2)[0]
    cells = reproduced_cells(REPRODUCTIONS["table2"], panel, rows_of([0.6, 0.8]))
    table = ReproducedTable("table2", "Table 2 <x>", "small", 14, 12, cells, "ray-defense x")
    text = render_markdown(table)
    assert "2 of 14 runs at the scale small" in text
    assert "70.0 (60.0–80.0)" in text
    assert "92.83 / 0.40" in text
    assert str(Rate(50, 50, 50)) == "50.0"
    page = render_page(table)
    assert "Table 2 &lt;x&gt;" in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_hours_count_epochs_passes_and_steps():
    overview = SweepOverview(
        num_trials=1,
        num_found={},
        num_to_make={"backdoored": 1, "ingest": 2, "mirror_fold_0": 1},
        num_epochs={"backdoored": 30, "mirror_fold_0": 4},
        num_clean_passes=1,
        num_transformed_passes=9,
    )
    hours = plan_hours(overview, "small")
    seconds = 30 * 8.4 + 4 * 19 + 2 * 20 + 10 * 13
    assert hours.total * 3600 == pytest.approx(seconds)
    nothing = SweepOverview(1, {"ingest": 1}, {}, {}, 0, 0)
    assert plan_hours(nothing, "paper").by_stage == {}


def test_hours_at_the_papers_scale_are_gpu_hours_of_measured_constants():
    bounds = json.loads((ROOT / "results" / "gpu" / "bounds.json").read_text())["cells"]
    pace = PACES["paper"]
    assert pace.an_epoch["probe"] == pytest.approx(
        50_000 / bounds["probe_ce"]["stage_images_per_s"], rel=1e-4
    )
    assert pace.an_epoch["backdoored"] == pytest.approx(
        50_000 / bounds["backdoored"]["stage_images_per_s"], rel=1e-4
    )
    assert pace.an_epoch["d_br"] == pytest.approx(
        12_500 / bounds["d_br"]["stage_images_per_s"], rel=1e-4
    )
    assert pace.an_epoch["d_st"] == pytest.approx(
        100_000 / bounds["ss_ctl"]["stage_images_per_s"], rel=1e-4
    )
    assert pace.a_pass == pytest.approx(50_000 / bounds["score_1"]["stage_images_per_s"], rel=1e-4)
    assert "results/gpu/bounds.json" in pace.source
    overview = SweepOverview(1, {}, {"backdoored": 1}, {"backdoored": 200}, 0, 0)
    hours = plan_hours(overview, "paper")
    assert hours.unit == "GPU hours"
    assert hours.total == pytest.approx(200 * 50_000 / 14_152 / 3600)
    assert "lower bound" in plan_hours(overview, "paper", larger_images=True).source
