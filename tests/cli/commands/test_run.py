"""`run` and `demo`: the configuration that is printed or run, and where results are."""

import json
from pathlib import Path

import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override, to_plain
from ray_defense.pipeline.recipes import RECIPES
from tests.support.command_line import forbid_work, replace_call
from tests.support.results import make_result


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_printed_configuration_is_what_would_run(
    recipe: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    forbid_work(monkeypatch)
    expected = RECIPES[recipe]()
    names = [detector.name for detector in expected.detect.detectors]
    tau = "detect.fct.tau" if "fct" in names else "detect.fct_draws.tau"
    words = ["run", recipe, "--set", "probe.epochs=3", "--set=d_st=none"]
    words += ["--set", f"{tau}=flip,blur"]
    assert main([*words, "--print-config"]) == 0
    changes = {"probe.epochs": 3, "d_st": None, tau: "flip,blur"}
    for path, value in changes.items():
        expected = override(expected, path, value)
    assert json.loads(capsys.readouterr().out) == to_plain(expected)


def test_a_path_is_never_broken_over_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    replace_call(monkeypatch, "run", lambda recipe, **options: make_result(truth=False))
    store = str(tmp_path / ("x" * 150))
    assert main(["demo", "--store", store]) == 0
    shown = capsys.readouterr().out
    assert f"result.json: {store}/result.json\n" in shown
    assert "candidates, not finds (split = flagged): /s/split/k/split.parquet\n" in shown
