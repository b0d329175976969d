"""The files of an audit: safe to open in a spreadsheet, and read back as they were."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ray_defense.pipeline.audit_files import data_fingerprint, write_samples

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-rf",
    "@SUM(A1)",
    "\ttab",
    "\rline",
    "a\nb",
    "\x1b[31m",
    "ü",
)


def test_hostile_names_are_whole_in_parquet_and_inert_in_csv(tmp_path: Path) -> None:
    rows = len(HOSTILE)
    columns = {
        "file": list(HOSTILE),
        "rank": np.arange(1, rows + 1),
        "score": np.linspace(0, 1, rows),
        "duplicates": [None] * (rows - 1) + [3],
    }
    write_samples(tmp_path, columns)
    table = pq.read_table(tmp_path / "audit.parquet")
    assert table["file"].to_pylist() == list(HOSTILE)
    assert table["duplicates"].to_pylist() == columns["duplicates"]
    with open(tmp_path / "audit.csv", newline="") as file:
        read = list(csv.reader(file))
    assert read[0] == ["file", "rank", "score", "duplicates"]
    assert len(read) == 1 + rows
    assert [float(row[2]) for row in read[1:]] == columns["score"].tolist()
    for row in read[1:]:
        assert not row[0].startswith(("=", "+", "-", "@"))
        assert row[0].isprintable()


def test_the_fingerprint_of_data_changes_with_a_label_a_pixel_or_the_order() -> None:
    index = np.arange(3)
    labels = np.array([0, 1, 0])
    hashes = ["a", "b", "c"]
    same = data_fingerprint(index, labels, hashes)
    assert same == data_fingerprint(index, labels, list(hashes))
    assert same != data_fingerprint(index, np.array([1, 1, 0]), hashes)
    assert same != data_fingerprint(index, labels, ["a", "b", "d"])
    assert same != data_fingerprint(index, labels, ["b", "a", "c"])
