"""An edited audit is noticed, also by one who edits the hash of what was edited."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.api import defend_audit
from ray_defense.cli.main import main
from ray_defense.core.errors import InputError
from ray_defense.exports.audit_folder import AuditFolder, is_audit_folder
from ray_defense.exports.verify_audit import verify_audit
from tests.support.audits import SmallAudit, picture
from tests.support.encoded_images import encode_image


def set_column(audit: SmallAudit, name: str, values: list[object]) -> None:
    """Replaces a column of the table and makes the manifest agree with it."""
    table = pq.read_table(audit.root / "audit.parquet")
    column = table.column_names.index(name)
    typed = pa.array(values, table.schema.field(name).type)
    pq.write_table(table.set_column(column, name, typed), audit.root / "audit.parquet")
    audit.sign()


def test_an_audit_as_it_was_written_is_whole(
    photos_audited: SmallAudit, capsys: pytest.CaptureFixture[str]
):
    result = verify_audit(photos_audited.root)
    assert result.damages == []
    assert result.num_artifacts >= 4
    assert main(["verify", str(photos_audited.root), "--quiet"]) == 0
    counts = f"{result.num_files} files of {result.num_artifacts} finished artifacts were read"
    assert capsys.readouterr().out == f"{counts}: all are what was written\n"
    assert main(["verify", str(photos_audited.root / "store"), "--quiet"]) == 0
    assert "all are what was written" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["audit.parquet", "audit.csv", "rejected.csv", "verdict.json"])
@pytest.mark.parametrize("change", ["edited", "gone", "link"])
def test_a_file_that_is_not_what_was_written_is_named(
    photos_audit: SmallAudit,
    tmp_path: Path,
    name: str,
    change: str,
    capsys: pytest.CaptureFixture[str],
):
    path = photos_audit.root / name
    data = path.read_bytes()
    path.unlink()
    if change == "edited":
        path.write_bytes(data + b" ")
    elif change == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    damages = verify_audit(photos_audit.root).damages
    assert len(damages) == 1
    assert repr(str(path)) in damages[0]
    assert main(["verify", str(photos_audit.root), "--quiet"]) == 3
    captured = capsys.readouterr()
    assert captured.out == f"{damages[0]}\n"
    assert "1 are damaged" in captured.err
    with pytest.raises(InputError, match="ray-defense verify"):
        AuditFolder.open(photos_audit.root)


def test_a_table_whose_hash_was_edited_too_disagrees_with_the_store(photos_audit: SmallAudit):
    rows = pq.read_table(photos_audit.root / "audit.parquet").to_pylist()
    parts = ["trusted" if row["split"] == "flagged" else row["split"] for row in rows]
    set_column(photos_audit, "split", parts)
    damages = verify_audit(photos_audit.root).damages
    assert len(damages) == 1
    assert "says otherwise than the store in 'split'" in damages[0]
    set_column(photos_audit, "label", [1 - row["label"] for row in rows])
    set_column(photos_audit, "score", [0.0 for _ in rows])
    assert len(verify_audit(photos_audit.root).damages) == 3


def test_a_manifest_that_was_edited_disagrees_with_the_store(photos_audit: SmallAudit):
    photos_audit.change_manifest(num_rejected=0, class_names=["dog", "cat"])
    damages = verify_audit(photos_audit.root).damages
    assert len(damages) == 2
    assert "counts other rejected files" in damages[0]
    assert "names other classes" in damages[1]


def test_a_damaged_store_and_a_file_nobody_wrote_are_named(photos_audit: SmallAudit):
    split = photos_audit.root / photos_audit.manifest()["artifacts"]["split"] / "split.parquet"
    split.write_bytes(split.read_bytes() + b" ")
    (photos_audit.root / "more.html").touch()
    damages = verify_audit(photos_audit.root).damages
    assert len(damages) == 2
    assert "more.html" in damages[0]
    assert str(split) in damages[1]


def test_a_store_that_is_gone_is_said(photos_audit: SmallAudit):
    photos_audit.change_manifest(store="elsewhere")
    damages = verify_audit(photos_audit.root).damages
    assert len(damages) == 1
    assert "the store of the audit cannot be read" in damages[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no object"),
        ("{}", "has no source"),
        ({"files": {"../x": "0"}}, "names the file '../x'"),
        ({"files": {"a/b": "0"}}, "names the file 'a/b'"),
        ({"files": {"manifest.json": "0"}}, "names the file 'manifest.json'"),
        ({"files": {"audit.parquet": 1}}, "names the file 'audit.parquet'"),
        ({"files": {}}, "does not name audit.parquet"),
        ({"num_samples": True}, "has no num_samples"),
        ({"num_samples": 3}, "has 16 rows and not 3"),
        ({"class_names": [1]}, "has no class_names"),
        ({"class_names": []}, "has no class_names"),
        ({"store": "a\0b"}, "a place outside of the audit"),
    ],
    ids=range(14),
)
def test_a_manifest_that_no_audit_wrote_is_refused(
    photos_audit: SmallAudit, text: str | dict[str, object], message: str
):
    if isinstance(text, str):
        (photos_audit.root / "manifest.json").write_text(text)
    else:
        photos_audit.change_manifest(**text)
    assert is_audit_folder(photos_audit.root)
    with pytest.raises(InputError) as error:
        AuditFolder.open(photos_audit.root)
    assert message in str(error.value)
    assert verify_audit(photos_audit.root).damages


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("index", list(range(15)) + [14], "has an index twice"),
        ("index", [-1, *range(15)], "has an index twice, or a negative one"),
        ("split", ["trusted"] * 15 + [None], "has a null in the column split"),
    ],
)
def test_a_table_that_no_audit_wrote_is_refused(
    photos_audit: SmallAudit, column: str, values: list[object], message: str
):
    set_column(photos_audit, column, values)
    with pytest.raises(InputError) as error:
        AuditFolder.open(photos_audit.root)
    assert message in str(error.value)


def test_what_is_no_table_is_refused(photos_audit: SmallAudit):
    for data in (b"", b"PAR1" + b"\0" * 100 + b"PAR1", b"no table"):
        (photos_audit.root / "audit.parquet").write_bytes(data)
        photos_audit.sign()
        with pytest.raises(InputError, match="is no table"):
            AuditFolder.open(photos_audit.root)
    pq.write_table(pa.table({"index": [1]}), photos_audit.root / "audit.parquet")
    photos_audit.sign()
    with pytest.raises(InputError, match="has no column file"):
        AuditFolder.open(photos_audit.root)


def test_a_folder_without_an_audit_is_refused_with_what_to_name(tmp_path: Path):
    assert not is_audit_folder(tmp_path)
    with pytest.raises(InputError, match="name the folder that ray-defense audit wrote"):
        AuditFolder.open(tmp_path)
    with pytest.raises(InputError, match="no audit in"):
        verify_audit(tmp_path / "none")
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    assert verify_audit(tmp_path).damages


def test_contents_that_were_swapped_under_the_same_size_and_time_are_found_by_rehash(
    photos_audit: SmallAudit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A run knows a file by its size and time, which whoever swaps it can set."""
    first = min((tmp_path / "data").rglob("0.png"))
    times = os.stat(first)
    assert main(["verify", str(photos_audit.root), "--rehash", "--quiet"]) == 0
    data = bytearray(first.read_bytes())
    first.write_bytes(encode_image(picture(99)).ljust(len(data), b"\0")[: len(data)])
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert first.stat().st_size == times.st_size
    assert main(["verify", str(photos_audit.root), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["verify", str(photos_audit.root), "--rehash", "--quiet"]) == 3
    found = capsys.readouterr().out
    assert "1 files are not what was audited any more" in found
    assert first.name in found
    assert main(["verify", str(photos_audit.root / "store"), "--rehash"]) == 2


def test_a_defense_that_would_lose_a_class_is_refused(photos_audit: SmallAudit):
    rows = pq.read_table(photos_audit.root / "audit.parquet").to_pylist()
    parts = ["uncertain" if row["class"] == "dog" else row["split"] for row in rows]
    set_column(photos_audit, "split", parts)
    with pytest.raises(InputError, match=r"1 of 2 classes have no trusted sample \('dog'\)"):
        defend_audit(photos_audit.root, "d-st")


@pytest.mark.parametrize("place", ["s3://elsewhere/store", "/etc", "../store", "store/../..", ""])
def test_an_audit_of_somebody_else_leads_nowhere_else(photos_audit: SmallAudit, place: str):
    """Its manifest named a bucket or a folder of this machine, and `verify` read it."""
    honest = photos_audit.manifest()
    for changes in ({"store": place}, {"artifacts": {**honest["artifacts"], "ingest": place}}):
        photos_audit.change_manifest(**{**honest, **changes})
        with pytest.raises(InputError, match="a place outside of the audit"):
            AuditFolder.open(photos_audit.root)
        (damage,) = verify_audit(photos_audit.root).damages
        assert "a place outside of the audit" in damage
