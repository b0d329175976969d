"""The tables of a suspect dataset, written range by range and joined when all are there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.suspect_dataset import (
    MANIFEST_SCHEMA,
    REJECTED_SCHEMA,
    write_manifest,
    write_rejected,
    write_shard,
)
from ray_defense.data.table_file import write_table
from ray_defense.execution.protocols import Columns
from ray_defense.store.artifacts import SCRATCH


def is_range_written(work: Path, number: int) -> bool:
    """Returns whether a range is written, by its number."""
    return _manifest_part(work, number).exists()


def write_range(work: Path, number: int, columns: Columns, jpeg_quality: int | None) -> int:
    """Writes the shard and the table parts of one range.

    Args:
        work: The directory of the dataset that is made.
        number: The number of the range and of its shard.
        columns: What `ReadRange` returns, changed or not.
        jpeg_quality: 1 to 100 for JPEG pages, None for raw pixels.

    Returns:
        The number of accepted samples; a range without any has no shard.
    """
    index = np.asarray(columns["index"])
    origin = np.asarray(columns["origin"], object)
    reason = np.asarray(columns["reason"], object)
    accepted = np.array([not text for text in columns["reason"]])
    manifest = MANIFEST_SCHEMA.empty_table()
    if accepted.any():
        manifest = write_shard(
            work,
            number,
            columns["image"][accepted],
            labels=columns["label"][accepted],
            index=index[accepted],
            origin=origin[accepted].tolist(),
            jpeg_quality=jpeg_quality,
        )
    rejected = {
        "index": index[~accepted],
        "origin": origin[~accepted].tolist(),
        "reason": reason[~accepted].tolist(),
    }
    write_table(_rejected_part(work, number), pa.table(rejected, REJECTED_SCHEMA))
    write_table(_manifest_part(work, number), manifest)
    return int(accepted.sum())


def finish_tables(work: Path, num_ranges: int, num_expected: int) -> tuple[int, int]:
    """Joins the parts of all ranges into the manifest and the table of rejected samples.

    Args:
        work: The directory of the dataset that is made.
        num_ranges: How many ranges there are.
        num_expected: How many samples the source has.

    Returns:
        The numbers of accepted and of rejected samples.

    Raises:
        InputError: If no sample is accepted, or all images are equal.
        RunError: If samples are missing.
    """
    manifests = []
    rejected_parts = []
    for number in range(num_ranges):
        manifests.append(pq.read_table(_manifest_part(work, number)))
        rejected_parts.append(pq.read_table(_rejected_part(work, number)))
    rejected = pa.concat_tables(rejected_parts)
    num_accepted = sum(table.num_rows for table in manifests)
    if num_accepted + rejected.num_rows != num_expected:
        raise RunError(
            f"{num_expected} samples were read, {num_accepted} written and {rejected.num_rows} "
            "rejected: run again"
        )
    if not num_accepted:
        raise InputError(
            f"all {num_expected} samples were rejected, the first because: {rejected['reason'][0]}"
        )
    hashes = pa.concat_tables(manifests)["sha256"]
    if num_accepted > 1 and pc.all(pc.equal(hashes, hashes[0])).as_py():
        raise InputError(f"not assessable: all {num_accepted} images are equal")
    write_manifest(work, manifests)
    write_rejected(
        work,
        index=rejected["index"].to_pylist(),
        origin=rejected["origin"].to_pylist(),
        reason=rejected["reason"].to_pylist(),
    )
    return num_accepted, rejected.num_rows


def _manifest_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"manifest-{number:05d}.parquet"


def _rejected_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"rejected-{number:05d}.parquet"
