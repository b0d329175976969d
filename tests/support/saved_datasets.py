"""Datasets as `save_to_disk()` of Hugging Face's `datasets` lays them out, written with pyarrow."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa


def features_metadata(names: list[str]) -> dict[str, str]:
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def image_table(images: list[bytes | None], labels: Any, names: list[str] | None = None) -> Any:
    structs = [{"bytes": image, "path": None} for image in images]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array(structs, kind), "label": pa.array(labels)})
    return table.replace_schema_metadata(features_metadata(names) if names else None)


def write_stream(file: Path, table: Any, rows_a_batch: int = 4, **options: Any) -> Path:
    with pa.ipc.new_stream(file, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=rows_a_batch)
    return file


def save_dataset(folder: Path, tables: list[Any], info_names: list[str] | None = None) -> Path:
    """Writes a dataset of one split, a file for each table, and returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, table in enumerate(tables):
        name = f"data-{number:05d}-of-{len(tables):05d}.arrow"
        write_stream(folder / name, table)
        files.append({"filename": name})
    state = {"_data_files": files, "_fingerprint": "0123456789abcdef", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    features = {"label": {"names": info_names, "_type": "ClassLabel"}} if info_names else {}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder
