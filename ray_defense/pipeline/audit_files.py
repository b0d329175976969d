"""The files of an audit: the table of samples, what was rejected, and the manifest.

The tables are for spreadsheets too, so no text in them starts like a formula or holds a character
that cannot be printed.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.files import file_hash, write_bytes, write_json

TABLE = "audit.parquet"
CSV_TABLE = "audit.csv"
REJECTED = "rejected.csv"
VERDICT = "verdict.json"
MANIFEST = "manifest.json"
PAGE = "report.html"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def spreadsheet_text(text: str) -> str:
    """Returns a text that a spreadsheet shows as it is: no formula, nothing unprintable."""
    shown = []
    for char in text:
        shown.append(char if char.isprintable() else char.encode("unicode_escape").decode())
    safe = "".join(shown)
    return f"'{safe}" if text.startswith(_FORMULA_STARTS) else safe


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


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows as CSV whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        cells = []
        for value in row:
            if isinstance(value, str):
                cells.append(spreadsheet_text(value))
            else:
                cells.append("" if value is None else repr(value))
        writer.writerow(cells)
    write_bytes(path, text.getvalue().encode())


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
