"""`attacks preview`: the PNG is written where it is asked for, or in the current folder."""

from pathlib import Path

import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override
from ray_defense.execution.placement import ANYWHERE
from ray_defense.pipeline.recipes import RECIPES
from tests.support.command_line import replace_call


def test_the_preview_is_written_where_it_is_asked_for_or_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    calls = replace_call(monkeypatch, "preview_attack", lambda recipe, **options: b"pixels")
    monkeypatch.chdir(tmp_path)
    common = ["--executor", "local", "--backend", "numpy", "--store", "s"]
    first = ["attacks", "preview", "blend_signal", *common]
    assert main([*first, "--source", "cifar10", "--set", "attack.opacity=0.3"]) == 0
    second = ["attacks", "preview", "sig", *common]
    assert main([*second, "--recipe", "cifar10_badnets_small", "--output", "x.png"]) == 0
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {"blend_signal.png": b"pixels", "x.png": b"pixels"}
    shown = capsys.readouterr().out
    assert shown.split() == [str(tmp_path / "blend_signal.png"), str(tmp_path / "x.png")]
    of_first = RECIPES["digits_badnets"]()
    changes = {"source": "cifar10", "attack": "blend_signal", "attack.opacity": 0.3}
    for path, value in changes.items():
        of_first = override(of_first, path, value)
    of_second = override(RECIPES["cifar10_badnets_small"](), "attack", "sig")
    assert calls.arguments == [(of_first,), (of_second,)]
    assert calls.options[0] == {
        "store": "s",
        "executor": "local",
        "backend": "numpy",
        "placement": ANYWHERE,
    }
