"""`report`: asks for a store alone and shows what a run shows."""

from pathlib import Path

import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override
from ray_defense.pipeline.recipes import RECIPES
from tests.support.command_line import replace_call
from tests.support.results import make_result


def test_a_report_is_asked_for_with_a_store_alone_and_shown_as_a_run_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    calls = replace_call(monkeypatch, "report", lambda recipe, **options: make_result())
    words = ["report", "digits_badnets", "--store", str(tmp_path), "--set", "d_st=none"]
    assert main(words) == 0
    assert calls.arguments == [(override(RECIPES["digits_badnets"](), "d_st", "none"),)]
    assert calls.options == [{"store": str(tmp_path)}]
    shown = capsys.readouterr().out
    assert "98.1 %" in shown
    assert f"result.json: {tmp_path / 'result.json'}\n" in shown
