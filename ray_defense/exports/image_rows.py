"""Samples as rows of a Parquet file, with the schema that Hugging Face's `datasets` understands."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.exports.protocol import ExportedSample
from ray_defense.exports.safe_names import image_ending

_GROUP_BYTES = 2**26  # of images in a row group


def features_of(class_names: Sequence[str]) -> dict[str, Any]:
    """Returns the columns as `datasets` names their kinds."""
    return {
        "image": {"_type": "Image"},
        "label": {"names": list(class_names), "_type": "ClassLabel"},
        "index": {"dtype": "int64", "_type": "Value"},
    }


def schema_of(class_names: Sequence[str]) -> pa.Schema:
    """Returns the schema, whose metadata hold the names of the classes for others and for us."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    metadata = {
        "huggingface": json.dumps({"info": {"features": features_of(class_names)}}),
        "classes": json.dumps(list(class_names)),
    }
    columns = {"image": image, "label": pa.int64(), "index": pa.int64()}
    return pa.schema(columns, metadata=metadata)


def write_image_rows(
    path: Path, samples: Iterable[ExportedSample], class_names: Sequence[str]
) -> Iterator[ExportedSample]:
    """Writes samples as one Parquet file, a row group in memory at a time, and yields them.

    Args:
        path: The file.
        samples: The samples.
        class_names: The names of the classes, in label order.
    """
    with pq.ParquetWriter(path, schema_of(class_names), compression="none") as writer:
        rows: list[dict[str, Any]] = []
        num_bytes = 0
        for sample in samples:
            assert sample.image is not None
            name = PurePosixPath(sample.file).name
            if "." not in name:
                name = f"{sample.index:07d}{image_ending(sample.image)}"
            image = {"bytes": sample.image, "path": name}
            rows.append({"image": image, "label": sample.label, "index": sample.index})
            num_bytes += len(sample.image)
            if num_bytes >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, writer.schema))
                rows = []
                num_bytes = 0
            yield sample
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, writer.schema))
