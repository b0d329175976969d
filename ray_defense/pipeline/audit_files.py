"""The files of an audit: the table of samples, what was rejected, and the manifest.

The tables are for spreadsheets too, so no text in them starts like a formula or holds a character
that cannot be printed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.files import file_hash, write_json
from ray_defense.data.csv_file import write_csv

TABLE = "audit.parquet"
CSV_TABLE = "audit.csv"
REJECTED = "rejected.csv"
VERDICT = "verdict.json"
MANIFEST = "manifest.json"
PAGE = "report.html"


def write_samples(out: Path, columns: Mapping[str, Any]) -> None:
    """Writes the table of samples as `audit.parquet` and `audit.csv`.

    Args:
        out: The folder of the audit.
        columns: Arrays or lists of one length, by name; None for a missing value.
    """
    import pyarrow as pa

    from ray_defense.data.table_file import write_table

    arrays = {}
    for name, values in columns.items():
        kind = pa.int64() if name == "duplicates" else None
        plain = values.tolist() if isinstance(values, np.ndarray) else values
        arrays[name] = pa.array(plain, type=kind)
    table = pa.table(arrays)
    write_table(out / TABLE, table)
    rows = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    write_csv(out / CSV_TABLE, table.column_names, rows)


def write_manifest_of_audit(out: Path, described: Mapping[str, Any]) -> None:
    """Writes `manifest.json`, with the hashes of the other files of the audit, last of all."""
    hashes = {}
    for name in (TABLE, CSV_TABLE, REJECTED, VERDICT, PAGE):
        hashes[name] = file_hash(out / name)
    write_json(out / MANIFEST, {**described, "files": hashes})


def data_fingerprint(index: np.ndarray, labels: np.ndarray, hashes: Sequence[str]) -> str:
    """Returns one hash of all samples: their positions, labels and pixels."""
    digest = hashlib.sha256()
    for row in zip(index.tolist(), labels.tolist(), hashes, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()
