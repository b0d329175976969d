"""Tables as Parquet files: deterministic bytes, whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.files import write_bytes


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())
