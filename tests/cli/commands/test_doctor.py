"""`doctor` is content without what is not needed, and refuses without what is."""

import pytest

from ray_defense.cli.commands import doctor
from ray_defense.cli.commands.doctor import Check
from ray_defense.cli.main import main

WORKING = Check("part", "print('fine')", "install it", needed=True)
BROKEN = Check("other", "raise ImportError('no \\x1b[31m library')", "install other", needed=False)
CRASHING = Check("Ray", "import os; os.abort()", "pip install ray", needed=True)


def test_doctor_is_content_without_what_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(doctor, "CHECKS", (WORKING, BROKEN))
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "torch" in shown
    assert "CPU cores" in shown
    assert "fine" in shown
    assert r"missing (ImportError: no \x1b[31m library): install other" in shown


def test_doctor_refuses_without_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(doctor, "CHECKS", (WORKING, CRASHING))
    assert main(["doctor"]) == 2
    assert "cannot run without Ray: pip install ray" in capsys.readouterr().err


def test_the_algorithms_that_the_tests_run_pass_their_check():
    check = doctor.CHECKS[0]
    assert check.name == "algorithms"
    finding = doctor.run_check(check)
    assert finding.error is None
    assert finding.output.startswith("work; GPU: ")
