"""The folder of an audit, and requests that are refused before any work."""

from pathlib import Path

import pytest

from ray_defense.cli.main import main
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.pipeline.audit import check_free, places_of
from ray_defense.store.artifacts import Store
from tests.support.source_files import write_class_folders


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "probe.epoch=3"], "did you mean 'epochs'"),
        (["--set", "probe.epochs=0"], "at least 1"),
        (["--set", "decide.rate=1.5"], "decide.rate must lie in"),
        (["--size", "5000"], "size"),
        (["--out", "taken"], "is not empty and holds no audit: name another folder with --out"),
    ],
)
def test_row_input_22_unknown_keys_wrong_values_and_a_folder_in_use_are_refused(
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = write_class_folders(tmp_path / "data", {"cat": 8, "dog": 8})
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in words else ["--out", "out"]
    assert main(["audit", str(data), "--quick", "--quiet", *out, *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.beton"))
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]


def test_row_input_22_the_folder_of_another_audit_is_refused_with_the_difference(
    tmp_path: Path,
) -> None:
    manifest = {
        "source": {},
        "configuration": {},
        "data": "other",
        "store": "store",
        "artifacts": {},
        "data_fingerprint": "",
        "num_samples": 1,
        "num_rejected": 0,
        "class_names": ["cat"],
        "files": {name: "" for name in ("audit.parquet", "verdict.json", "rejected.csv")},
    }
    write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(InputError, match="holds the audit of 'other': name another"):
        check_free(tmp_path, "data")
    check_free(tmp_path, "other")


def test_the_places_of_artifacts_lie_in_the_audit_also_where_a_link_leads_to_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = Store(tmp_path / "link" / "audit" / "store")
    artifact = store.locate("ingest", 1, {}, {})
    assert places_of({"ingest": artifact}) == {"ingest": f"store/ingest/{artifact.key}"}
