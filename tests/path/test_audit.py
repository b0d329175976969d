"""An audit of a folder: the verdict, its exit code, its tables, its page, and doing it again."""

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import ray_defense
from ray_defense.cli.main import main
from ray_defense.core.errors import InputError
from ray_defense.core.files import file_hash, read_json
from ray_defense.reports.audit import Audit
from tests.support import blobs

ROOT = Path(__file__).parents[2]
NUM_PICTURES = 1200
STAMPED = np.arange(0, NUM_PICTURES, 15)
SMALL = {
    "detect.mirror.training.model.width": "8",
    "detect.mirror.training.steps": "60",
    "detect.grow.training.model.width": "8",
    "detect.grow.training.steps": "100",
    "detect.grow.training.seeds_a_step": "32",
}
COMMON = {"executor": "local", "backend": "numpy", "quick": True, "size": 16, "overrides": SMALL}
HOSTILE_CLASS = "=cmd <b>\x1b[31m"


def write_folder(root: Path, stamped: np.ndarray, num_pictures: int = NUM_PICTURES) -> Path:
    """Writes pictures as PNG class folders, with a trigger in some, which are in one class."""
    index = np.arange(num_pictures)
    images = blobs.draw_blobs(index)
    labels = blobs.labels_of(index)
    images[stamped] = blobs.stamp_corner(images[stamped])
    labels[stamped] = 0
    for number in index:
        name = HOSTILE_CLASS if labels[number] == 0 else f"class-{labels[number]}"
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(folder / f"{number:05}.png")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_folder(tmp_path_factory.mktemp("data") / "images", STAMPED)
    (root / "class-1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    twin = sorted((root / "class-1").glob("0*.png"))[0]
    (root / "class-2" / "twin.png").write_bytes(twin.read_bytes())
    (root / "class-2" / "Thumbs.db").write_bytes(b"junk")
    (root / "class-3" / ".DS_Store").write_bytes(b"junk")
    return root


@pytest.fixture(scope="module")
def audit(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return ray_defense.audit(data, out=tmp_path_factory.mktemp("out") / "audit", **COMMON)


def test_the_stamped_files_are_flagged_and_named(audit: Audit, data: Path) -> None:
    assert audit.verdict == "evidence"
    assert audit.exit_code == 10
    assert audit.headline.startswith("evidence of a backdoor: ")
    table = audit.samples()
    assert list(table.columns[:7]) == ["file", "class", "label", "index", "split", "rank", "score"]
    assert {"mirror", "grow", "p", "reasons", "duplicates"} <= set(table.columns)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    flagged = table[table["split"] == "flagged"]
    assert flagged["rank"].max() == len(flagged)
    assert sorted(flagged["index"]) == audit.flagged.tolist()
    stems = {int(Path(file).stem) for file in flagged["file"] if "twin" not in file}
    assert len(stems & set(STAMPED.tolist())) >= 0.9 * len(STAMPED)
    assert len(stems - set(STAMPED.tolist())) <= 8
    assert audit.classes_suspected[0].startswith("=cmd <b>")
    assert all(reason for reason in flagged["reasons"])
    for file in table["file"]:
        assert "\x1b" in file or (data / file).is_file()


def test_files_agree_with_one_another_and_with_their_hashes(audit: Audit) -> None:
    table = pq.read_table(audit.out / "audit.parquet")
    assert table.num_rows == NUM_PICTURES + 1
    manifest = read_json(audit.out / "manifest.json")
    assert manifest["num_samples"] == NUM_PICTURES + 1
    assert manifest["num_rejected"] == 1
    for name, digest in manifest["files"].items():
        assert file_hash(audit.out / name) == digest
    for path in manifest["artifacts"].values():
        assert (audit.out / path).is_dir()
    with open(audit.out / "rejected.csv", newline="") as file:
        header, row = list(csv.reader(file))
    assert header == ["file", "index", "reason"]
    assert row[0] == "class-1/broken.png"
    with open(audit.out / "audit.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + table.num_rows
    assert any(row[1].startswith("'=cmd <b>\\x1b") for row in rows)
    verdict = read_json(audit.out / "verdict.json")
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    jsonschema.validate(verdict, schema)
    twins = table.filter(np.array(table["duplicates"].is_valid()))
    assert twins.num_rows == 2
    assert "twin.png" in "".join(twins["file"].to_pylist())


def test_the_page_shows_the_verdict_and_no_markup_of_names(audit: Audit) -> None:
    page = audit.report.read_text()
    assert "Evidence of a backdoor" in page
    assert "<b>\x1b" not in page
    assert "=cmd <b>" not in page
    assert "class-1/broken.png" in page
    assert "mirror image" in page
    assert "2 other files skipped" in page


def test_the_command_line_says_the_same_and_computes_nothing_again(
    audit: Audit, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["audit", str(data), "--out", str(audit.out), "--quick", "--size", "16"]
    words += ["--executor", "local", "--backend", "numpy", "--quiet"]
    for path, value in SMALL.items():
        words += ["--set", f"{path}={value}"]
    assert main(words) == 10
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("evidence of a backdoor")
    assert any("nothing computed" in line for line in lines)
    assert any(line.startswith("report: ") for line in lines)
    assert all(line.isprintable() for line in lines)
    assert main([*words, "--json"]) == 10
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "evidence"
    assert answer["exit_code"] == 10


def test_a_clean_folder_of_few_images_is_not_assessable(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "images", np.zeros(0, dtype=np.int64), num_pictures=300)
    audit = ray_defense.audit(data, out=tmp_path / "out", **COMMON)
    assert audit.verdict == "not assessable"
    assert audit.exit_code == 20
    assert not len(audit.flagged)
    assert "nothing was found among 300 images" in audit.headline


def test_an_audit_fits_other_tools(audit: Audit) -> None:
    report, is_clean = audit.detect_poison()
    assert report["verdict"] == "evidence"
    assert len(is_clean) == NUM_PICTURES + 2
    flagged = [index for index, clean in enumerate(is_clean) if not clean]
    assert set(audit.flagged.tolist()) < set(flagged)
    assert len(flagged) == len(audit.flagged) + 1  # the file that could not be read
    html = audit._repr_html_()
    assert "<b>" not in html
    assert len(repr(audit)) < 500
    figure = audit.show(12)
    assert len(figure.axes) == 20


def test_a_folder_with_other_things_is_not_written_to(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no audit"):
        ray_defense.audit(data, out=tmp_path, **COMMON)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_folder_of_another_audit_is_not_written_over(audit: Audit, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "images", STAMPED[:1], num_pictures=60)
    before = (audit.out / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="holds the audit of .*: name another folder with --out"):
        ray_defense.audit(other, out=audit.out, **COMMON)
    assert (audit.out / "manifest.json").read_bytes() == before


def test_arrays_in_memory_are_audited_as_files_are(tmp_path: Path) -> None:
    index = np.arange(240)
    arrays = (blobs.draw_blobs(index), blobs.labels_of(index))
    audit = ray_defense.audit(arrays, out=tmp_path / "out", **COMMON)
    assert audit.verdict == "not assessable"
    assert len(audit.samples()) == 240
    assert "in memory" in audit.choices["data"]
    again = ray_defense.audit(arrays, out=tmp_path / "out", **COMMON)
    assert again.num_cached == again.num_stages


def test_an_audit_is_defended_in_its_own_store_and_stays_as_it_was(
    audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (audit.out / "manifest.json").read_bytes()
    small = {"d_st.epochs": "1", "d_st.warmup_epochs": "0", "d_st.classifier_epochs": "1"}
    words = ["defend", str(audit.out), "--method", "d-st", "--executor", "local", "--quiet"]
    for path, value in {**small, "d_st.model.width": "8", "d_st.batch_size": "64"}.items():
        words += ["--set", f"{path}={value}"]
    assert main([*words, "--backend", "numpy"]) == 0
    shown = capsys.readouterr().out
    assert "flagged" in shown
    assert (audit.out / "manifest.json").read_bytes() == before
    is_useless = "do not use this model" in " ".join(shown.split())
    assert ("d_st: " in shown) != is_useless  # a useless model is not handed out
    assert list((audit.out / "store" / "d_st").glob("*/model.safetensors"))
    assert main(["defend", str(audit.out)]) == 2
    assert "--method d-st or --method d-br" in capsys.readouterr().err
    assert main(["defend", "folder", "--method", "d-st"]) == 2
    assert main(["defend", str(audit.out), "--method", "d_sr"]) == 2


def test_what_is_flagged_is_exported_byte_for_byte_and_the_audit_is_verified(
    audit: Audit, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(audit.out), "--quiet"]) == 0
    out = tmp_path / "flagged"
    words = ["export", str(audit.out), "--flagged", "--as", "folder", "--out", str(out)]
    assert main(words) == 0
    written = {path.name for path in out.rglob("*.png")}
    assert len(written) == len(audit.flagged)
    for path in out.rglob("*.png"):
        (original,) = data.rglob(path.name)
        assert path.read_bytes() == original.read_bytes()
    assert main(["show", str(audit.out)]) == 0
    assert "evidence" in capsys.readouterr().out
    table = audit.out / "audit.csv"
    before = table.read_bytes()
    table.write_bytes(before.replace(b"flagged", b"trusted", 1))
    assert main(["verify", str(audit.out), "--quiet"]) != 0
    table.write_bytes(before)
