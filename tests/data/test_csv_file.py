"""Tables as CSV that no spreadsheet takes for formulas and no terminal for commands."""

import csv
from pathlib import Path

import pytest

from ray_defense.data.csv_file import csv_cell, write_csv


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("cat", "cat"),
        ("=cmd", "'=cmd"),
        ("+1", "'+1"),
        ("-rf", "'-rf"),
        ("@x", "'@x"),
        ("\tx", "'\\tx"),
        ("\rx", "'\\rx"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp", "\\u202egnp"),
        (-3, "-3"),
        (0.5, "0.5"),
        (None, ""),
        ("Kätzchen", "Kätzchen"),
    ],
)
def test_a_cell_is_inert(value: object, cell: str):
    assert csv_cell(value) == cell


def test_rows_come_back_and_a_file_that_is_there_is_replaced_whole(tmp_path: Path):
    rows = [("a,b", 1), ('"', None)]
    write_csv(tmp_path / "t.csv", ("text", "number"), rows)
    with open(tmp_path / "t.csv", newline="") as file:
        assert list(csv.reader(file)) == [["text", "number"], ["a,b", "1"], ['"', ""]]
    write_csv(tmp_path / "t.csv", ("text",), [])
    assert (tmp_path / "t.csv").read_text() == "text\n"
