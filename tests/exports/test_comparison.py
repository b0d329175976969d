"""Two runs side by side: what differs is said, and what does not is not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ray_defense
from ray_defense.cli.main import main
from ray_defense.core.errors import DamageError, InputError
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.exports.comparison import compare_runs
from ray_defense.exports.finished_run import open_run, read_result
from tests.support.audits import SmallAudit, small_recipe, write_photos
from tests.support.command_line import line_with


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores of two runs over the same files, which flag four and eight of 16 samples."""
    root = tmp_path_factory.mktemp("stores")
    source = ImageFolder(str(write_photos(root / "data")), size=16)
    recipe = small_recipe(source)
    wider = replace(recipe, decide=replace(recipe.decide, flagged_fraction=0.5))
    ray_defense.run(recipe, store=root / "a", backend="numpy")
    shutil.copytree(root / "a", root / "b")
    ray_defense.run(wider, store=root / "b", backend="numpy")
    return root / "a", root / "b"


def test_runs_differ_in_one_setting_and_in_who_is_flagged(stores: tuple[Path, Path]):
    comparison = compare_runs(*stores)
    assert comparison.settings == {"decide.flagged_fraction": (0.25, 0.5)}
    assert comparison.configured == (True, True)
    assert comparison.counts["flagged"] == (4, 8)
    assert comparison.counts["trusted"] == (4, 4)
    assert (len(comparison.both), len(comparison.only_first)) == (4, 0)
    assert len(comparison.only_second) == 4
    assert comparison.overlap == 0.5
    assert comparison.same_data
    same = compare_runs(stores[0], stores[0])
    assert same.settings == {}
    assert same.overlap == 1.0


def test_a_store_that_has_moved_is_read_where_it_is(stores: tuple[Path, Path], tmp_path: Path):
    shutil.copytree(stores[0], tmp_path / "moved")
    moved = open_run(tmp_path / "moved")
    split = next((tmp_path / "moved" / "split").glob("*/split.parquet"))
    assert np.array_equal(moved.flagged, open_run(stores[0]).flagged)
    split.write_bytes(split.read_bytes() + b" ")
    with pytest.raises(DamageError, match="moved.*is damaged"):
        open_run(tmp_path / "moved")


def test_an_audit_is_compared_with_a_store(photos_audited: SmallAudit, stores: tuple[Path, Path]):
    comparison = compare_runs(photos_audited.root, stores[0])
    assert comparison.verdicts == ("evidence", None)
    assert comparison.settings["source.path"][0] == photos_audited.manifest()["data"]
    assert not comparison.same_data
    assert comparison.counts["flagged"] == (4, 4)


def test_the_command_says_what_differs(
    stores: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
):
    assert main(["compare", *map(str, stores)]) == 0
    out = capsys.readouterr().out
    assert line_with(out, "decide.flagged_fraction").split()[-2:] == ["0.25", "0.5"]
    assert line_with(out, "flagged by both: 4").endswith("second alone: 4 (overlap 50.0 %)")
    assert "seed" not in out
    assert main(["compare", str(stores[0]), str(stores[0])]) == 0
    assert "the configurations are the same" in capsys.readouterr().out


def test_the_runs_of_a_store_are_listed(
    stores: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["runs", str(stores[0])]) == 0
    out = capsys.readouterr().out
    assert "small_audit" in line_with(out, "small_audit", " 0 ")
    assert "report" in out
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no run\n"
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert "there is no store" in capsys.readouterr().err
    assert main(["runs", "s3://bucket/store"]) == 2
    assert "is a URI" in capsys.readouterr().err


def test_a_run_or_an_audit_is_shown_in_short(
    stores: tuple[Path, Path],
    photos_audited: SmallAudit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    assert main(["show", str(stores[0])]) == 0
    assert "small_audit, seed 0" in capsys.readouterr().out
    assert main(["show", str(photos_audited.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "verdict: evidence of a backdoor, 4 samples flagged, 1 to 4 of them poisoned; "
        "suspected labels: 'dog'"
    )
    assert lines[1].endswith("4 trusted, 4 flagged, 8 uncertain; 1 files rejected")
    assert f"report.html: {photos_audited.root / 'report.html'}" in lines
    assert main(["show", str(tmp_path)]) == 2
    assert "has no result.json" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"models": 3}'])
def test_a_result_that_nobody_wrote_is_refused(tmp_path: Path, text: str):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match="is no result of this version"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models", {"backdoored": {"acc": "high"}}),
        ("seconds", {"ingest": "long"}),
        ("notes", "a note"),
        ("seed", 0.5),
        ("versions", None),
        ("score", {"auroc": True}),
        ("artifacts", {"ingest": 3, "split": 4}),
        ("artifacts", {"ingest": "/", "split": ".."}),
    ],
)
def test_a_result_with_a_value_of_another_kind_is_refused(
    stores: tuple[Path, Path], tmp_path: Path, key: str, value: object
):
    plain = json.loads((stores[0] / "result.json").read_text())
    if isinstance(value, dict) and key in ("models", "score"):
        inner = plain[key].setdefault("backdoored", {}) if key == "models" else plain[key]
        inner.update(value.get("backdoored", value))
    else:
        plain[key] = value
    (tmp_path / "result.json").write_text(json.dumps(plain))
    assert main(["show", str(tmp_path)]) == 2


def test_an_interval_of_one_number_is_refused(stores: tuple[Path, Path], tmp_path: Path):
    plain = json.loads((stores[0] / "result.json").read_text())
    rates = {name: None for name in ("acc", "asr", "asr_interval", "acc_target_excluded")}
    counted = {"title": "x", "num_clean": 1, "num_triggered": 0, "acc_interval": [0.5]}
    plain["models"] = {"backdoored": {**rates, **counted}}
    (tmp_path / "result.json").write_text(json.dumps(plain))
    assert main(["show", str(tmp_path)]) == 2


@pytest.mark.parametrize("text", ["", "[]", "\x80", "[" * 100_000, "{", '{"verdict": 1e999999}'])
def test_a_verdict_that_nobody_wrote_is_refused(photos_audit: SmallAudit, text: str):
    (photos_audit.root / "verdict.json").write_text(text, encoding="latin-1")
    photos_audit.sign()
    for command in (["show"], ["export", "--flagged", "--as", "csv", "--out", "x"]):
        assert main([command[0], str(photos_audit.root), *command[1:]]) == 2
    assert main(["verify", str(photos_audit.root)]) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": 3},
        {"num_flagged": "four"},
        {"num_poisoned": [1, 4]},
        {"num_poisoned": {"low": "1", "high": 4}},
        {"labels_suspected": "1"},
        {"labels_suspected": [-1]},
        {"labels_suspected": [True]},
    ],
)
def test_a_verdict_with_a_value_of_another_kind_is_refused(
    photos_audit: SmallAudit, changes: dict[str, object]
):
    path = photos_audit.root / "verdict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    photos_audit.sign()
    assert main(["show", str(photos_audit.root)]) == 2


def test_a_verdict_of_another_version_is_refused(photos_audit: SmallAudit):
    (photos_audit.root / "verdict.json").write_text(json.dumps({"verdict": "evidence"}))
    photos_audit.sign()
    assert main(["show", str(photos_audit.root)]) == 2
