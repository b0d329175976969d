"""Every form of export, read by what will read it; every form tells each sample by its index."""

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import ray_defense
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.exports import EXPORTS, hugging_face
from tests.support.audits import SmallAudit

KEPT = ("uncertain", "trusted")


def export(audit: SmallAudit, form: str, out: Path) -> list[dict[str, str]]:
    """Returns the rows of the list that an export of the kept samples leaves."""
    ray_defense.export(audit.root, "kept", form, out)
    name = "samples.csv" if form == "csv" else "export.csv"
    with open(out / name, newline="") as file:
        return list(csv.DictReader(file))


def original(audit: SmallAudit, row: dict[str, Any]) -> bytes:
    return (audit.root.parent / "data" / row["file"]).read_bytes()


@pytest.mark.parametrize("form", EXPORTS)
def test_every_form_tells_each_sample_by_its_index_and_leaves_no_hidden_file(
    form: str, photos_audit: SmallAudit, tmp_path: Path
):
    rows = export(photos_audit, form, tmp_path / "out")
    expected = photos_audit.rows(*KEPT)
    assert [int(row["index"]) for row in rows] == [row["index"] for row in expected]
    assert [row["file"] for row in rows] == [row["file"] for row in expected]
    assert [int(row["label"]) for row in rows] == [row["label"] for row in expected]
    assert EXPORTS[form].name == form
    for path in (tmp_path / "out").rglob("*"):
        assert not path.name.startswith(".")
        assert path.is_dir() or path.stat().st_size > 0


def test_a_folder_is_a_source_with_the_same_classes(photos_audit: SmallAudit, tmp_path: Path):
    export(photos_audit, "folder", tmp_path / "out")
    source = ImageFolder(str(tmp_path / "out"), size=16)
    assert source.info().class_names == ("cat", "dog")
    batch = source.read("train", 0, 100)
    assert batch.rejected == ()
    assert len(batch.index) == len(photos_audit.rows(*KEPT))


def test_parquet_is_what_our_source_and_hugging_face_read(photos_audit: SmallAudit, tmp_path: Path):
    export(photos_audit, "parquet", tmp_path / "out")
    expected = photos_audit.rows(*KEPT)
    source = Parquet(str(tmp_path / "out"), size=16)
    assert source.info().class_names == ("cat", "dog")
    assert source.labels("train").tolist() == [row["label"] for row in expected]
    assert source.read("train", 0, 100).rejected == ()
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    assert table.column_names == ["image", "label", "index"]
    for row, sample in zip(table.to_pylist(), expected, strict=True):
        assert row["index"] == sample["index"]
        assert row["image"]["bytes"] == original(photos_audit, sample)
        assert row["image"]["path"] == Path(sample["file"]).name
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["cat", "dog"], "_type": "ClassLabel"}
    assert features["image"] == {"_type": "Image"}


def test_a_hugging_face_folder_has_numbered_files_and_a_card(
    photos_audit: SmallAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hugging_face, "_FILE_BYTES", 5000)
    rows = export(photos_audit, "huggingface", tmp_path / "out")
    names = [path.name for path in sorted((tmp_path / "out" / "data").iterdir())]
    count = len(names)
    assert count > 1
    assert names == [f"train-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    tables = [pq.read_table(tmp_path / "out" / "data" / name) for name in names]
    index = [value for table in tables for value in table["index"].to_pylist()]
    assert index == [row["index"] for row in photos_audit.rows(*KEPT)]
    assert rows[-1]["written"] == f"data/train-{count - 1:05d} row {len(tables[-1]) - 1}"
    card = (tmp_path / "out" / "README.md").read_text().split("---\n")[1]
    described = yaml.safe_load(card)
    assert described["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    features = {item["name"]: item["dtype"] for item in described["dataset_info"]["features"]}
    assert features["label"] == {"class_label": {"names": {"0": "cat", "1": "dog"}}}
    assert described["dataset_info"]["splits"][0]["num_examples"] == len(index)


def test_a_list_names_files_relative_to_the_data(photos_audit: SmallAudit, tmp_path: Path):
    rows = export(photos_audit, "csv", tmp_path / "out")
    assert list(rows[0]) == ["file", "class", "label", "index"]
    for row in rows:
        assert original(photos_audit, row)


def test_a_list_needs_neither_data_nor_store(photos_audit: SmallAudit, tmp_path: Path):
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(photos_audit.root / "store")
    assert len(export(photos_audit, "csv", tmp_path / "out")) == len(photos_audit.rows(*KEPT))


def test_beton_files_hold_the_audited_pixels(photos_audit: SmallAudit, tmp_path: Path):
    export(photos_audit, "beton", tmp_path / "out")
    file = BetonFile(tmp_path / "out" / "train-00000.beton")
    expected = photos_audit.rows(*KEPT)
    assert file.index.tolist() == [row["index"] for row in expected]
    assert file.labels.tolist() == [row["label"] for row in expected]
    dataset = SuspectDataset(photos_audit.root / photos_audit.manifest()["artifacts"]["ingest"])
    audited = dataset.read_images(dataset.locate(file.index))
    assert np.array_equal(file.images(np.arange(len(expected))), audited)


def test_label_studio_has_a_task_a_file_with_the_label_as_prediction(
    photos_audit: SmallAudit, tmp_path: Path
):
    rows = export(photos_audit, "label-studio", tmp_path / "out dir")
    tasks = json.loads((tmp_path / "out dir" / "tasks.json").read_text())
    assert len(tasks) == len(rows)
    for task, row in zip(tasks, photos_audit.rows(*KEPT), strict=True):
        assert task["data"]["index"] == row["index"]
        prefix, _, path = task["data"]["image"].partition("?d=")
        assert prefix == "/data/local-files/"
        assert (tmp_path / unquote(path)).read_bytes() == original(photos_audit, row)
        result = task["predictions"][0]["result"][0]
        assert result["value"] == {"choices": [row["class"]]}
    view = ElementTree.parse(tmp_path / "out dir" / "labeling_config.xml").getroot()
    choices = [choice.attrib["value"] for choice in view.iter("Choice")]
    assert choices == ["cat", "dog"]


def test_fiftyone_finds_the_label_of_each_file_by_its_stem(
    photos_audit: SmallAudit, tmp_path: Path
):
    export(photos_audit, "fiftyone", tmp_path / "out")
    described = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert described["classes"] == ["cat", "dog"]
    by_stem = {path.stem: path for path in (tmp_path / "out" / "data").iterdir()}
    assert by_stem.keys() == described["labels"].keys()
    for row in photos_audit.rows(*KEPT):
        stem = f"{row['index']:07d}"
        assert described["labels"][stem] == row["label"]
        assert by_stem[stem].read_bytes() == original(photos_audit, row)
