"""The path with a decision that counts: a verdict, also where nothing is flagged."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import ray_defense
from ray_defense.attacks.badnets import BadNets
from ray_defense.cli.main import main
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.fixed_pattern import FixedPattern
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.pattern_detector import PatternSearch
from ray_defense.detectors.symmetry import SymmetryTraining
from ray_defense.exports.comparison import compare_runs
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.canaries import CanaryConfig
from ray_defense.stages.detect import DetectConfig
from tests.support import tiny

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def counting(digits: Path) -> Recipe:
    """A recipe whose detectors learn next to nothing, so that nothing is flagged."""
    training = SymmetryTraining(SmallResNetCoordinates(width=8), steps=4)
    return replace(
        tiny.recipe(digits),
        detect=DetectConfig((Mirror(training),), batch_size=25, block_size=50),
        decide=Evidence(one_sided=(), grown=(), trusted_by=("mirror",)),
    )


def test_detection_is_a_verdict_a_table_and_files_and_trains_no_defense(
    counting: Recipe, tmp_path: Path
):
    detection = ray_defense.detect(counting, store=tmp_path, backend="numpy")
    assert detection.verdict in ("no evidence", "not assessable")
    assert detection.flagged.tolist() == []
    assert detection.labels_suspected == ()
    table = detection.samples()
    assert list(table.columns) == ["index", "label", "split", "mirror"]
    assert (np.diff(table["index"]) > 0).all()
    assert dict(detection.counts)["flagged"] == 0
    assert sum(detection.counts.values()) == len(table)
    schema = json.loads((DOCS / "verdict.schema.json").read_text())
    jsonschema.validate(json.loads(Path(detection.files["verdict.json"]).read_text()), schema)
    for stage in ("backdoored", "d_br", "d_st", "evaluation", "probe"):
        assert not (tmp_path / stage).exists()


def test_a_store_that_holds_a_detection_is_shown_and_compared(
    counting: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    canaries = CanaryConfig(families=(BadNets(),), sizes=(8,))
    for name, recipe in (("a", counting), ("b", replace(counting, canaries=canaries))):
        detection = ray_defense.detect(recipe, store=tmp_path / name, backend="numpy")
        assert main(["show", str(tmp_path / name)]) == 0
        lines = capsys.readouterr().out.splitlines()
        split = Path(detection.files["split.parquet"]).parent.name
        counts = ", ".join(f"{count} {part}" for part, count in detection.counts.items())
        assert lines[:2] == [f"verdict: {detection.verdict}", f"split/{split}, seed 0: {counts}"]
        assert any(line.split()[:2] == ["mirror", "no"] for line in lines)
        for note in detection.notes:
            assert note[:60] in " ".join(lines)
        for file, path in detection.files.items():
            assert f"{file}: {path}" in lines
    assert any(line.startswith("canaries found, badnets") for line in lines)
    comparison = compare_runs(tmp_path / "a", tmp_path / "b")
    assert comparison.same_data
    assert comparison.verdicts == (detection.verdict, detection.verdict)
    assert not any(comparison.configured)


def test_canaries_say_what_the_same_detectors_would_have_found(counting: Recipe, tmp_path: Path):
    canaries = CanaryConfig(families=(BadNets(),), sizes=(8,))
    watched = replace(counting, canaries=canaries)
    detection = ray_defense.detect(watched, store=tmp_path, backend="numpy")
    assert detection.power is not None
    assert [canary["keeps_label"] for canary in detection.power["canaries"]] == [False, True]
    for canary in detection.power["canaries"]:
        assert canary["family"] == "badnets"
        assert 0 <= canary["num_found"] <= canary["num_planted"] <= 8
    schema = json.loads((DOCS / "verdict.schema.json").read_text())
    jsonschema.validate(json.loads(Path(detection.files["verdict.json"]).read_text()), schema)
    alone = ray_defense.detect(counting, store=tmp_path, backend="numpy")
    assert alone.power is None
    for name, column in alone.columns.items():  # canaries reach nothing but the power
        assert np.array_equal(column, detection.columns[name])


def test_networks_that_train_side_by_side_give_the_same_evidence(
    counting: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    training = SymmetryTraining(SmallResNetCoordinates(width=8), steps=4, folds=3)
    detectors = (Mirror(training), FixedPattern(PatternSearch(exemplars=4)))
    patterned = replace(counting, detect=replace(counting.detect, detectors=detectors))
    files = []
    for num_slots in (1, 3):
        monkeypatch.setattr(
            "ray_defense.execution.local.slots_of_this_process", partial(max, num_slots)
        )
        store = tmp_path / str(num_slots)
        detection = ray_defense.detect(patterned, store=store, backend="numpy")
        files.append(Path(detection.files["evidence.parquet"]).read_bytes())
    assert files[0] == files[1]


def test_a_run_without_finds_trains_its_defenses_and_says_so(counting: Recipe, tmp_path: Path):
    result = ray_defense.run(counting, store=tmp_path, backend="numpy")
    assert result.verdict in ("no evidence", "not assessable")
    assert "D-BR unlearned nothing, since nothing is flagged" in result.notes
    assert result.d_br is not None
    assert result.d_st is not None
    assert Path(result.report).is_file()
