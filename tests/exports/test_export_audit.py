"""Parts of an audit as folders: original bytes, reversible by index, and nothing else touched."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import ray_defense
from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.suspect_dataset import SuspectDataset
from tests.support.audits import SmallAudit, picture, write_audit, write_photos
from tests.support.encoded_images import encode_image
from tests.support.source_files import write_parquet


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def files_below(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of each file below a folder by its relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("part", "splits"),
    [
        ("kept", ("uncertain", "trusted")),
        ("flagged", ("flagged",)),
        ("uncertain", ("uncertain",)),
        ("trusted", ("trusted",)),
    ],
)
def test_a_part_becomes_class_folders_of_the_original_files(
    photos_audit: SmallAudit, tmp_path: Path, part: Any, splits: tuple[str, ...]
):
    before = files_below(tmp_path)
    summary = ray_defense.export(photos_audit.root, part, "folder", tmp_path / "out")
    expected = photos_audit.rows(*splits)
    rows = read_rows(tmp_path / "out" / "export.csv")
    assert summary.num_written == len(rows) == len(expected) > 0
    assert summary.num_written + summary.num_left == 16
    for row, sample in zip(rows, expected, strict=True):
        assert row["written"] == f"{sample['class']}/{Path(sample['file']).name}"
        assert (int(row["index"]), row["file"]) == (sample["index"], sample["file"])
        assert (row["class"], row["split"]) == (sample["class"], sample["split"])
        written = (tmp_path / "out" / row["written"]).read_bytes()
        assert written == (tmp_path / "data" / sample["file"]).read_bytes()
    after = files_below(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(files_below(tmp_path / "out")) == len(rows) + 1


def test_rejected_files_are_in_no_export_and_the_summary_says_where_they_stay(
    photos_audit: SmallAudit, tmp_path: Path
):
    summary = ray_defense.export(photos_audit.root, "kept", "folder", tmp_path / "out")
    assert summary.num_rejected == 1
    assert any("1 rejected files were never judged" in note for note in summary.notes)
    assert any("an attacker can hide" in note for note in summary.notes)
    assert not list((tmp_path / "out").rglob("broken.png"))


def test_the_same_export_has_the_same_bytes(photos_audit: SmallAudit, tmp_path: Path):
    ray_defense.export(photos_audit.root, "kept", "parquet", tmp_path / "a")
    ray_defense.export(photos_audit.root, "kept", "parquet", tmp_path / "b")
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_data_that_has_moved_is_named(photos_audit: SmallAudit, tmp_path: Path):
    os.rename(tmp_path / "data", tmp_path / "moved")
    with pytest.raises(InputError, match="no folder"):
        ray_defense.export(photos_audit.root, "kept", "folder", tmp_path / "out")
    ray_defense.export(
        photos_audit.root, "kept", "folder", tmp_path / "out", data=tmp_path / "moved"
    )
    assert len(read_rows(tmp_path / "out" / "export.csv")) == 12


@pytest.mark.parametrize("change", ["content", "vanished", "link", "added", "renamed"])
def test_data_that_has_changed_is_refused_and_nothing_is_written(
    photos_audit: SmallAudit, tmp_path: Path, change: str
):
    sample = photos_audit.rows("trusted", "uncertain")[-1]
    path = tmp_path / "data" / sample["file"]
    original = path.read_bytes()
    status = path.stat()
    if change == "content":
        path.write_bytes(encode_image(picture(7)))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "added":
        (path.parent.parent / "cat" / "00.png").write_bytes(original)
    else:
        path.unlink()
    if change == "link":
        (tmp_path / "elsewhere.png").write_bytes(original)
        path.symlink_to(tmp_path / "elsewhere.png")
    elif change == "renamed":
        path.with_name("zzz.png").write_bytes(original)
    with pytest.raises(InputError, match="not what was audited any more|cannot be read") as error:
        ray_defense.export(photos_audit.root, "kept", "folder", tmp_path / "out")
    assert "\n" not in str(error.value)
    if change == "content":
        assert repr(sample["file"]) in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_file_that_changes_only_where_nothing_is_exported_is_no_matter(
    photos_audit: SmallAudit, tmp_path: Path
):
    sample = photos_audit.rows("flagged")[0]
    (tmp_path / "data" / sample["file"]).write_bytes(encode_image(picture(7)))
    ray_defense.export(photos_audit.root, "kept", "folder", tmp_path / "out")
    assert (tmp_path / "out" / "export.csv").is_file()


@pytest.mark.parametrize("place", ["data/new", "data/train/cat/new", "audit/new", "audit/store/x"])
def test_nothing_is_written_into_the_data_or_the_audit(
    photos_audit: SmallAudit, tmp_path: Path, place: str
):
    before = files_below(tmp_path)
    with pytest.raises(InputError, match="lies in the"):
        ray_defense.export(photos_audit.root, "kept", "folder", tmp_path / place)
    (tmp_path / "link").symlink_to(tmp_path / place.split("/")[0])
    with pytest.raises(InputError, match="lies in the"):
        ray_defense.export(photos_audit.root, "kept", "csv", tmp_path / "link" / "new")
    assert files_below(tmp_path) == before


def test_a_folder_in_use_is_refused_and_an_empty_one_is_taken(
    photos_audit: SmallAudit, tmp_path: Path
):
    out = tmp_path / "out"
    out.write_text("mine")
    with pytest.raises(InputError, match="is a file: name a new folder"):
        ray_defense.export(photos_audit.root, "kept", "csv", out)
    out.unlink()
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(InputError, match="is not empty: name a new folder"):
        ray_defense.export(photos_audit.root, "kept", "csv", out)
    (out / "mine").unlink()
    ray_defense.export(photos_audit.root, "kept", "csv", out)
    assert list(out.iterdir()) == [out / "samples.csv"]


def test_an_unknown_part_or_form_or_an_empty_part_is_refused(
    photos_audit: SmallAudit, tmp_path: Path
):
    with pytest.raises(InputError, match="unknown part 'keep': did you mean 'kept'"):
        ray_defense.export(photos_audit.root, "keep", "csv", tmp_path / "out")
    with pytest.raises(InputError, match="unknown form 'parket': did you mean 'parquet'"):
        ray_defense.export(photos_audit.root, "kept", "parket", tmp_path / "out")
    table = pq.read_table(photos_audit.root / "audit.parquet")
    column = table.column_names.index("split")
    trusted = table.set_column(column, "split", [["trusted"] * len(table)])
    pq.write_table(trusted, photos_audit.root / "audit.parquet")
    photos_audit.sign()
    with pytest.raises(InputError, match="no sample of this audit is flagged"):
        ray_defense.export(photos_audit.root, "flagged", "csv", tmp_path / "out")


def test_an_audit_that_was_edited_is_not_exported(photos_audit: SmallAudit, tmp_path: Path):
    (photos_audit.root / "audit.csv").write_text("file\n")
    with pytest.raises(InputError, match="audit.csv' is not what the audit wrote"):
        ray_defense.export(photos_audit.root, "kept", "csv", tmp_path / "out")


def test_rows_of_parquet_keep_their_bytes(tmp_path: Path):
    images = [encode_image(picture(seed), "JPEG", quality=80) for seed in range(16)]
    write_parquet(tmp_path / "train.parquet", images, [seed % 2 for seed in range(16)])
    source = Parquet(str(tmp_path / "train.parquet"), size=16)
    audit = write_audit(tmp_path / "audit", source)
    summary = ray_defense.export(audit.root, "kept", "folder", tmp_path / "out")
    assert any("byte for byte" in note for note in summary.notes)
    for row in read_rows(tmp_path / "out" / "export.csv"):
        assert row["written"] == f"{row['class']}/row {row['index']}.jpg"
        assert (tmp_path / "out" / row["written"]).read_bytes() == images[int(row["index"])]


def test_files_are_compared_with_jpeg_shards_too(tmp_path: Path):
    data = write_photos(tmp_path / "data")
    audit = write_audit(tmp_path / "audit", ImageFolder(str(data), size=16), jpeg_quality=85)
    ray_defense.export(audit.root, "kept", "folder", tmp_path / "out")
    sample = audit.rows("trusted")[0]
    (data / sample["file"]).write_bytes(encode_image(picture(7)))
    with pytest.raises(InputError, match="1 files are not what was audited any more"):
        ray_defense.export(audit.root, "kept", "folder", tmp_path / "again")


def test_a_source_without_image_files_gives_what_was_audited_as_png(
    photos_audit: SmallAudit, tmp_path: Path
):
    audit = photos_audit
    audit.change_manifest(source=to_plain(Digits()))
    summary = ray_defense.export(audit.root, "kept", "folder", tmp_path / "out")
    assert any("as PNG: the source has no file" in note for note in summary.notes)
    dataset = SuspectDataset(audit.root / audit.manifest()["artifacts"]["ingest"])
    rows = read_rows(tmp_path / "out" / "export.csv")
    for row in rows:
        data = (tmp_path / "out" / row["written"]).read_bytes()
        pixels = np.array(Image.open(io.BytesIO(data)))
        position = dataset.locate(np.array([int(row["index"])]))
        assert np.array_equal(pixels, dataset.read_images(position)[0])


def test_hostile_names_become_safe_names_of_distinct_files(tmp_path: Path):
    names = ("-rf", "=cmd", "a\nb", "<script>", "x\x1b[31m")
    data = write_photos(tmp_path / "data", names, count=4)
    for number, name in enumerate(("CON.png", "con.png", "no ending", "a.exe")):
        image = encode_image(picture(5000 + number))
        (data / "train" / "<script>" / name).write_bytes(image)
    audit = write_audit(tmp_path / "audit", ImageFolder(str(data), size=16))
    ray_defense.export(audit.root, "kept", "folder", tmp_path / "out")
    ray_defense.export(audit.root, "flagged", "folder", tmp_path / "out2")
    rows = [*read_rows(tmp_path / "out/export.csv"), *read_rows(tmp_path / "out2/export.csv")]
    assert len(rows) == 24
    folders = {Path(row["written"]).parent.name for row in rows}
    assert folders == {"rf", "cmd", "a_b", "_script_", "x_[31m"}
    named = {
        Path(row["written"]).name for row in rows if Path(row["written"]).parent.name[0] == "_"
    }
    assert {"_CON.png", "no ending.png", "a.exe.png"} <= named
    for row in rows:
        assert row["file"].isprintable()
        assert not row["class"].startswith(("=", "-"))


def test_names_that_differ_in_case_alone_are_numbered(tmp_path: Path):
    data = write_photos(tmp_path / "data", count=6)
    deeper = data / "train" / "cat" / "deeper"
    deeper.mkdir()
    (deeper / "0.PNG").write_bytes(encode_image(picture(1)))
    audit = write_audit(tmp_path / "audit", ImageFolder(str(data), size=16))
    for part in ("kept", "flagged"):
        ray_defense.export(audit.root, part, "folder", tmp_path / part)
        for row in read_rows(tmp_path / part / "export.csv"):
            written = (tmp_path / part / row["written"]).read_bytes()
            assert written == (data / row["file"]).read_bytes()
