"""`detect`: the verdict, what each column says, what to doubt, and where the files are."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override, to_plain
from ray_defense.execution.placement import ANYWHERE
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.reports.detection import Detection
from tests.support.command_line import replace_call

COLUMN = {"column": "mirror", "gives_evidence": True, "num_flagged": 3, "agrees": True}
CANARY = {"family": "sig", "keeps_label": True, "num_planted": 20, "num_found": 7}
POWER = {"canaries": [CANARY, {**CANARY, "num_planted": 50, "num_found": 50}]}
DETAILS = {
    "verdict": "evidence",
    "labels_suspected": [4],
    "power": POWER,
    "num_flagged": 3,
    "num_poisoned": {"low": 1, "high": 3},
    "columns": [
        {**COLUMN, "reason": None},
        {**COLUMN, "column": "grow", "gives_evidence": False, "reason": "[b]no\x1b[31m seeds"},
    ],
}
DETECTION = Detection(
    recipe="a\x1b[31mb",
    seed=3,
    verdict="evidence",
    flagged=np.array([1, 5, 8]),
    labels_suspected=(4,),
    power=POWER,
    counts={"trusted": 2, "flagged": 3, "uncertain": 5},
    files={"verdict.json": f"/s/{'x' * 150}/verdict.json"},
    notes=("[red]doubt",),
    columns={"index": np.arange(3), "label": np.array([4, 4, 1]), "mirror": np.ones(3)},
    details=DETAILS,
)


def shown(monkeypatch: pytest.MonkeyPatch, capsys: Any, detection: Detection) -> list[str]:
    calls = replace_call(monkeypatch, "detect", lambda recipe, **options: detection)
    words = ["detect", "digits_badnets", "--store", "s", "--executor", "local"]
    assert main([*words, "--set", "seed=3", "--quiet"]) == 0
    assert calls.arguments == [(override(RECIPES["digits_badnets"](), "seed", 3),)]
    assert calls.options == [
        {"store": "s", "executor": "local", "backend": "auto", "placement": ANYWHERE}
    ]
    lines: list[str] = capsys.readouterr().out.splitlines()
    return [line.rstrip() for line in lines]


def test_the_first_line_is_the_verdict_and_the_last_ones_are_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    lines = shown(monkeypatch, capsys, DETECTION)
    assert lines[0] == (
        "verdict: evidence of a backdoor, 3 samples flagged, 1 to 3 of them poisoned; suspected "
        "labels: 4"
    )
    assert r"a\x1b[31mb, seed 3: 2 trusted, 3 flagged, 5 uncertain" in lines
    assert any("grow" in line and r"[b]no\x1b[31m seeds" in line for line in lines)
    assert "canaries found, sig, clean label: 7 of 20, 50 of 50" in lines
    assert "warning: [red]doubt" in lines
    assert lines[-1] == f"verdict.json: /s/{'x' * 150}/verdict.json"


@pytest.mark.parametrize("verdict", ["no evidence", "not assessable"])
def test_other_verdicts_claim_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: Any
):
    details = {**DETAILS, "verdict": verdict, "labels_suspected": [], "power": None}
    quiet = replace(DETECTION, verdict=verdict, labels_suspected=(), power=None, details=details)
    lines = shown(monkeypatch, capsys, quiet)
    assert lines[0] == f"verdict: {verdict}"
    assert not any("suspected" in line or "canaries" in line for line in lines)


def test_a_fixed_share_is_called_candidates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    ranked = replace(DETECTION, verdict=None, details={}, power=None)
    lines = shown(monkeypatch, capsys, ranked)
    assert lines[0].startswith("no verdict: this decision flags a fixed share of any dataset")


def test_the_configuration_is_printed_and_nothing_runs(capsys: pytest.CaptureFixture[str]):
    assert main(["detect", "digits_badnets", "--set", "seed=2", "--print-config"]) == 0
    expected = override(RECIPES["digits_badnets"](), "seed", 2)
    assert json.loads(capsys.readouterr().out) == to_plain(expected)


def test_the_samples_are_a_table():
    table = DETECTION.samples()
    assert list(table.columns) == ["index", "label", "mirror"]
    assert table["label"].tolist() == [4, 4, 1]
