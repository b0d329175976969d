"""Tables as Parquet: deterministic bytes, whole or not at all, and noticed when damaged."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.files import write_bytes
from ray_defense.core.sealed import read_sealed, write_sealed
from ray_defense.store.checked_files import checked_file


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table; the same rows give the same bytes."""
    write_bytes(path, _table_bytes(table))


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns a table of an artifact.

    Args:
        path: What `write_table` wrote.
        columns: The columns to read; None for all.

    Raises:
        DamageError: If the artifact is finished and the file is not what was published.
    """
    names = None if columns is None else list(columns)
    return pq.read_table(checked_file(path), columns=names, partitioning=None)


def write_sealed_table(path: Path, table: pa.Table) -> None:
    """Writes a part of a table, which stands in a directory of work, as a sealed file."""
    write_sealed(path, _table_bytes(table))


def read_sealed_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns what `write_sealed_table` wrote.

    Args:
        path: The file, which is read through.
        columns: The columns to return; None for all.

    Raises:
        DamageError: If the file is missing, or is not what was written.
    """
    names = None if columns is None else list(columns)
    return pq.read_table(pa.BufferReader(read_sealed(path)), columns=names)


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
