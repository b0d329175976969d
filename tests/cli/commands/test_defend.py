"""`defend`: the counts of the split, what to doubt, and where split and models are."""

import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override
from ray_defense.execution.placement import ANYWHERE
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.reports.result import DefendedResult
from tests.support.command_line import replace_call


def test_defending_prints_the_split_what_to_doubt_and_where_models_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    files = {"split": "/s/split/k/split.parquet", "d_st": f"/s/{'x' * 150}/model.safetensors"}
    result = DefendedResult(
        recipe="a\x1b[31mb",
        seed=3,
        counts={"trusted": 20, "flagged": 5, "uncertain": 75},
        files=files,
        notes=["[red]doubt"],
    )
    calls = replace_call(monkeypatch, "defend", lambda recipe, **options: result)
    words = ["defend", "digits_badnets", "--store", "s", "--executor", "local"]
    assert main([*words, "--set", "seed=3", "--quiet"]) == 0
    assert calls.arguments == [(override(RECIPES["digits_badnets"](), "seed", 3),)]
    assert calls.options == [
        {"store": "s", "executor": "local", "backend": "auto", "placement": ANYWHERE}
    ]
    lines = [r"a\x1b[31mb, seed 3: 20 trusted, 5 flagged, 75 uncertain", "warning: [red]doubt"]
    lines += [f"{name}: {path}" for name, path in files.items()]
    assert capsys.readouterr().out.splitlines() == lines
