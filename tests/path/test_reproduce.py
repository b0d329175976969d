"""`reproduce` from its command line to its table, on few digits."""

import json

import pytest

from ray_defense.cli.main import main

TINY = (
    "source=digits",
    "source.size=16",
    "source.test_fraction=0.6",
    "probe.model.width=4",
    "backdoored.model.width=4",
    "probe.epochs=1",
    "probe.intra_epochs=0",
    "backdoored.epochs=1",
    "d_br.rounds=1",
)


@pytest.mark.parametrize("planned", [True, False])
def test_a_figure_is_planned_and_run(tmp_path, capsys, planned):
    words = ["reproduce", "fig5", "--seeds", "1", "--attack", "badnets", "--executor", "local"]
    words.extend(("--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--quiet"))
    for assignment in TINY:
        words.extend(("--set", assignment))
    if planned:
        assert main([*words, "--plan"]) == 0
        assert "hours on one machine" in capsys.readouterr().out
        assert not (tmp_path / "out").exists()
        return
    assert main(words) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert "3 of 3 runs" in text
    assert text.count("| badnets |") == 3
    records = sorted((tmp_path / "out" / "runs").iterdir())
    assert len(records) == 3
    record = json.loads(records[0].read_text())
    assert "--set source=digits" in record["command"]
    assert "--set d_br.steps=unlearn" in record["command"]
    assert 0 <= record["numbers"]["d_br_acc"] <= 1
    capsys.readouterr()
    assert main(words) == 0
    assert "nothing is missing" in capsys.readouterr().out
    assert (tmp_path / "out" / "table.md").read_text() == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("fig7", "squared distance of the poisoned", marks=pytest.mark.long),
        ("fig8", "| badnets | 10 |"),
    ],
)
def test_a_figure_shows_what_is_read_off_its_runs(tmp_path, name, told):
    words = ["reproduce", name, "--seeds", "1", "--attack", "badnets", "--executor", "local"]
    words.extend(("--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--quiet"))
    changes = ["source=digits", "source.size=16", "source.test_fraction=0.9"]
    changes.extend(("probe.model.width=4", "probe.epochs=1"))
    for assignment in changes:
        words.extend(("--set", assignment))
    assert main(words) == 0
    assert told in (tmp_path / "out" / "table.md").read_text()
    page = (tmp_path / "out" / "table.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    assert main(words) == 0
    assert (tmp_path / "out" / "table.html").read_text() == page
