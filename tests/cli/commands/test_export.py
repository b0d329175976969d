"""`ray-defense export`: what was written, what to know of it, and refusals in one line."""

from pathlib import Path

import pytest

from ray_defense.cli.main import main
from ray_defense.exports.export_audit import ExportSummary
from tests.support.command_line import replace_call


def test_the_parts_and_the_form_reach_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    summary = ExportSummary(
        out=tmp_path / "o",
        part="kept",
        form="folder",
        num_written=12,
        num_left=4,
        num_rejected=1,
        notes=("a note with \x1b[31m",),
    )
    calls = replace_call(monkeypatch, "export", lambda *arguments, **options: summary)
    words = ["export", "a", "--kept", "--as", "folder", "--out", "o", "--data", "d", "--quiet"]
    assert main(words) == 0
    assert calls.arguments == [("a", "kept", "folder", "o")]
    assert calls.options == [{"data": "d"}]
    assert capsys.readouterr().out.splitlines() == [
        "kept: 12 samples written, 4 left out",
        "note: a note with \\x1b[31m",
        f"folder: {tmp_path / 'o'}",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--as", "csv", "--out", "o"], "one of the arguments --kept --flagged"),
        (["a", "--kept", "--flagged", "--as", "csv", "--out", "o"], "not allowed with argument"),
        (["a", "--kept", "--as", "cvs", "--out", "o"], "invalid choice: 'cvs'"),
        (["a", "--kept", "--as", "csv"], "the following arguments are required: --out"),
        (["a", "--keep", "--as", "csv", "--out", "o"], "unknown option '--keep': did you mean"),
        (["nowhere", "--kept", "--as", "csv", "--out", "o"], "no audit in"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()
