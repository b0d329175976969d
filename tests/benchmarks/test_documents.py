"""The generated documents equal what results/ say, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.detection.__main__ import command_parser
from benchmarks.detection.measure import CURVE_FPRS
from benchmarks.documents import Table, Tables, render_tables, table_names, update_files
from benchmarks.scaling.__main__ import DOCUMENT as SCALING_DOCUMENT
from benchmarks.scaling.constant_tables import SCALING_TABLES
from benchmarks.support import ROOT, changed_recipe
from benchmarks.tables.__main__ import (
    DETECTION_FIGURE,
    FIGURE,
    FIRST_ANSWERS,
    FIRST_ANSWERS_TABLES,
    README,
    RESULT_TABLES,
)
from benchmarks.tables.__main__ import DOCUMENT as RESULTS_DOCUMENT
from benchmarks.tables.attack_figure import attack_figure
from benchmarks.tables.attacks import attack_results
from benchmarks.tables.detection_figure import curves_of_attacks, detection_figure
from ray_defense.attacks import ATTACKS
from ray_defense.detectors.decision.protocol import check_columns
from ray_defense.pipeline.recipes import named_recipe

DOCUMENTS = [
    pytest.param(RESULTS_DOCUMENT, RESULT_TABLES, id="results"),
    pytest.param(SCALING_DOCUMENT, SCALING_TABLES, id="scaling"),
    pytest.param(FIRST_ANSWERS, FIRST_ANSWERS_TABLES, id="first answers"),
]


@pytest.mark.parametrize(("document", "tables"), DOCUMENTS)
def test_the_tables_of_a_document_are_what_the_results_say(document: Path, tables: Tables) -> None:
    text = document.read_text()
    assert render_tables(text, tables) == text
    assert sorted(table_names(text)) == sorted(tables)


def test_the_tables_of_the_readme_are_what_the_results_say() -> None:
    text = README.read_text()
    assert render_tables(text, RESULT_TABLES) == text
    assert "demo" in table_names(text)


@pytest.mark.parametrize(("document", "tables"), DOCUMENTS)
def test_links_of_a_document_lead_somewhere(document: Path, tables: Tables) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", document.read_text())
    assert targets
    for target in targets:
        assert (document.parent / target).exists(), target


def test_results_have_a_line_for_every_folder() -> None:
    text = (ROOT / "results" / "README.md").read_text()
    folders = [path.name for path in (ROOT / "results").iterdir() if path.is_dir()]
    assert re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert sorted(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)) == sorted(folders)


def test_the_figure_has_a_line_for_every_attack_that_was_measured() -> None:
    assert len(attack_results()) == 12
    for svg in (FIGURE.read_text(), attack_figure().decode()):
        for name, result in attack_results().items():
            label = f"{name} (weak)" if result["weak_attack"] else name
            assert f"<!-- {label} -->" in svg


def test_the_same_results_give_the_same_figure() -> None:
    assert attack_figure() == attack_figure()


def test_the_figure_of_the_detectors_has_a_panel_for_every_attack() -> None:
    curves = curves_of_attacks()
    drawn = detection_figure().decode()
    for svg in (DETECTION_FIGURE.read_text(), drawn):
        for attack in ATTACKS:
            assert f"<!-- {attack} -->" in svg
    assert detection_figure().decode() == drawn
    for of_attack in curves.values():
        for curve in of_attack.values():
            assert len(curve) == len(CURVE_FPRS)
            assert sorted(curve) == curve
            assert curve[-1] == 1


def test_documented_cells_have_the_columns_that_they_decide_by() -> None:
    commands = re.findall(
        r"^    python -m (benchmarks\.detection .+)$", RESULTS_DOCUMENT.read_text(), re.MULTILINE
    )
    assert len(commands) >= 5
    for command in commands:
        options = command_parser().parse_args(shlex.split(command)[1:])
        recipe = changed_recipe(named_recipe(options.recipe), options.set)
        check_columns(recipe.decide, recipe.detect.detectors)


def test_a_table_replaces_what_stands_between_its_markers_alone() -> None:
    text = "before\n<!-- table:one -->\n| old |\n<!-- end -->\nafter\n"
    tables = {"one": lambda: Table(["a", "b"], [["1", "2"]])}
    expected = (
        "before\n<!-- table:one -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- end -->\nafter\n"
    )
    assert render_tables(text, tables) == expected
    assert render_tables(expected, tables) == expected


def test_checking_changes_no_file_and_fails_where_one_differs(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text("old")
    with pytest.raises(SystemExit, match="not what results/ says"):
        update_files({path: b"new"}, check_only=True)
    assert path.read_text() == "old"
    update_files({path: b"new"}, check_only=False)
    update_files({path: b"new"}, check_only=True)
    assert path.read_text() == "new"
