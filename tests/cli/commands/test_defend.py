"""`defend`: the counts of the split, what to doubt, and where split and models are."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ray_defense.cli.main import main
from ray_defense.core.config import override
from ray_defense.execution.placement import ANYWHERE
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.reports.result import DefendedResult
from tests.support.command_line import raising, replace_call


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


def audited(verdict: str) -> SimpleNamespace:
    exit_code = {"evidence": 10, "no evidence": 0, "not assessable": 20}[verdict]
    return SimpleNamespace(
        headline=f"{verdict}: \x1b as it is",
        verdict=verdict,
        exit_code=exit_code,
        report=Path("/o/report.html"),
        out=Path("/o dir"),
    )


DEFENDED = DefendedResult(
    recipe="audit",
    seed=0,
    counts={"trusted": 20, "flagged": 5, "uncertain": 75},
    files={"repaired": "/s/model.safetensors"},
    notes=[],
    sentences=["the model predicts much"],
    load_line='model.load_state_dict(load("x"))',
)


@pytest.mark.parametrize("verdict", ["evidence", "no evidence"])
def test_images_are_audited_first_and_each_step_gets_its_own_overrides(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    verdict: str,
):
    audits = replace_call(monkeypatch, "audit", lambda data, **options: audited(verdict))
    defenses = replace_call(monkeypatch, "defend_audit", lambda *words, **options: DEFENDED)
    words = ["defend", str(tmp_path), "--method", "d-br", "--out", "o", "--quick", "--size", "64"]
    words += ["--set", "d_br.rounds=3", "--set", "backdoored.epochs=2", "--set", "probe.epochs=4"]
    assert main([*words, "--executor", "local", "--quiet", "--label-column", "species"]) == 0
    assert audits.arguments == [(str(tmp_path),)]
    (options,) = audits.options
    assert options["overrides"] == {"probe.epochs": "4"}
    assert (options["out"], options["size"], options["quick"]) == ("o", 64, True)
    assert options["settings"] == {"label_column": "species"}
    assert defenses.arguments == [("o", "d-br")]
    assert defenses.options[0]["overrides"] == {"d_br.rounds": "3", "backdoored.epochs": "2"}
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        rf"{verdict}: \x1b as it is",
        "report: /o/report.html",
        "audit, seed 0: 20 trusted, 5 flagged, 75 uncertain",
        "the model predicts much",
        "repaired: /s/model.safetensors",
        'load it with: model.load_state_dict(load("x"))',
    ]


def test_images_that_are_not_assessable_give_no_model_but_the_command_that_makes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    replace_call(monkeypatch, "audit", lambda data, **options: audited("not assessable"))
    replace_call(monkeypatch, "defend_audit", raising(AssertionError("a model was made")))
    words = ["defend", str(tmp_path), "--method", "d-st", "--executor", "local", "--quiet"]
    assert main(words) == 20
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("not assessable: ")
    assert lines[-1].endswith("ray-defense defend '/o dir' --method d-st")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "d-sr"), "did you mean"),
        (("--method", "d-st", "--model", "MODEL", "--architecture", "resnet18"), "leave --model"),
        (("--method", "d-br", "--model", "MODEL", "--architecture", "resnet18"), "is a pickle"),
        (("--method", "d-br", "--model", "MODEL", "--architecture", "resent18"), "did you mean"),
        (("--method", "d-br", "--model", "MODEL", "--mean", "1,2"), "--architecture torchvision"),
        (
            (
                "--method",
                "d-br",
                "--model",
                "x",
                "--architecture",
                "y",
                "--mean",
                "1",
                "--std",
                "1",
            ),
            "--mean needs three numbers",
        ),
        (("--method", "d-br", "--config", "c.json"), "has a configuration of its own"),
    ],
)
def test_what_the_defense_would_refuse_is_refused_before_the_audit(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
):
    replace_call(monkeypatch, "audit", raising(AssertionError("it was audited")))
    model = tmp_path / "model.pt"
    model.write_bytes(b"\x80\x02K\x01.")
    given = [str(model) if word == "MODEL" else word for word in words]
    assert main(["defend", str(tmp_path), *given, "--executor", "local", "--quiet"]) == 2
    assert message in capsys.readouterr().err
