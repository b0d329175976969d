"""The leaderboard: what a cell holds, which files are refused, and a page that loads nothing."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest

from ray_defense.cli.main import main, parse_command_line
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.studies import leaderboard
from ray_defense.studies.leaderboard import find_cells, read_cell, rows_of_cell, write_leaderboard
from ray_defense.studies.run_cell import RunCell, cell_of_run

NUMBERS = {
    "auroc": 0.75,
    "weak_attack": False,
    "backdoored_acc": 0.9,
    "backdoored_asr": 1.0,
    "d_br_acc": 0.8,
    "d_br_asr": 0.05,
    "d_br_robust_acc": None,
}


def a_cell() -> RunCell:
    changes = [("attack", "sig"), ("seed+poison.seed", "1")]
    return cell_of_run(named_recipe("digits_badnets"), changes, {"d_st": "none"}, NUMBERS)


def write_cell(path: Path, **changed: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**asdict(a_cell()), **changed})


def test_a_cell_stores_the_command_that_repeats_it():
    words = shlex.split(a_cell().command)
    assert words[0] == "ray-defense"
    _, options = parse_command_line(words[1:])
    assert options.recipe == "digits_badnets"
    assert words[3:] == [
        "--set",
        "d_st=none",
        "--set",
        "attack=sig",
        "--set",
        "seed=1",
        "--set",
        "poison.seed=1",
    ]


def test_a_cell_comes_back_from_its_file(tmp_path):
    write_json(tmp_path / "cell.json", a_cell())
    assert read_cell(tmp_path / "cell.json") == a_cell()


def test_a_model_is_a_row_and_scores_alone_are_one():
    backdoored, d_br, d_st = rows_of_cell(a_cell())
    assert (backdoored.model, backdoored.acc, backdoored.asr) == ("backdoored", 0.9, 1.0)
    assert (d_br.acc, d_br.robust_acc, d_br.auroc) == (0.8, None, 0.75)
    assert d_st.acc is None
    (row,) = rows_of_cell(RunCell(**{**asdict(a_cell()), "models": []}))
    assert (row.model, row.acc, row.auroc) == ("", None, 0.75)


def test_the_page_of_a_folder_loads_nothing_and_shows_text_as_text(tmp_path, capsys):
    write_cell(tmp_path / "one" / "runs" / "a.json", recipe="<script>alert(1)</script>")
    write_cell(tmp_path / "two" / "b.json", seed=7)
    (tmp_path / "two" / "table.md").write_text("no cell")
    assert main(["leaderboard", str(tmp_path)]) == 0
    assert "2 runs" in capsys.readouterr().out
    page = (tmp_path / "leaderboard.html").read_text()
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<tr><td>") == 6
    assert "<script>alert" not in page
    assert main(["leaderboard", str(tmp_path), "--out", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no cell"),
        ("[" * 100_000, "is no cell"),
        ("[]", "is no cell"),
        ('{"recipe": 3}', "is no cell"),
        (" " * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_cell_is_refused_with_its_name(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        write_leaderboard(tmp_path, tmp_path / "page.html")
    assert "x.json" in str(error.value)
    assert not (tmp_path / "page.html").exists()


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    plain = json.loads(json.dumps(asdict(a_cell())))
    plain["numbers"]["d_br_acc"] = float("inf")
    (tmp_path / "x.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match="d_br_acc is not finite"):
        read_cell(tmp_path / "x.json")


def test_links_are_not_followed_and_a_folder_without_cells_is_refused(tmp_path):
    write_cell(tmp_path / "outside" / "a.json")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.json").symlink_to(tmp_path / "outside" / "a.json")
    (inside / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="holds no JSON file"):
        find_cells(inside)


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "MAX_CELLS", 1)
    for name in ("a.json", "b.json"):
        write_cell(tmp_path / name)
    with pytest.raises(InputError, match="more than 1 JSON files"):
        find_cells(tmp_path)
