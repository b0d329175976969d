"""The tables of a suspect dataset, written range by range and joined when all are there."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.sealed import SEALED_SUFFIX
from ray_defense.data.suspect_dataset import (
    MANIFEST_SCHEMA,
    REJECTED,
    REJECTED_SCHEMA,
    shard_name,
    write_manifest,
    write_rejected,
    write_shard,
)
from ray_defense.data.table_file import read_sealed_table, write_sealed_table, write_table
from ray_defense.data.text import shortened
from ray_defense.execution.protocols import Columns
from ray_defense.store.record import SCRATCH
from ray_defense.store.written_files import note_written

_NUM_SHOWN = 3  # reasons or kinds that a note names
_SHOWN_CHARACTERS = 100  # of each
DUPLICATES = "duplicates.parquet"
CONVERTED = "converted.parquet"
_CONVERTED_SCHEMA = pa.schema({"index": pa.int64(), "origin": pa.string(), "held": pa.string()})
_DUPLICATES_SCHEMA = pa.schema({"group": pa.int64(), "index": pa.int64(), "label": pa.int64()})


@dataclass(frozen=True)
class FinishedTables:
    """What the tables of a dataset hold."""

    accepted: np.ndarray  # the indices of the accepted samples, int64, ascending
    num_rejected: int
    notes: tuple[str, ...]  # on rejections, conversions and copies among the images


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
        note_written(work, shard_name(number))
    rejected = {
        "index": index[~accepted],
        "origin": origin[~accepted].tolist(),
        "reason": reason[~accepted].tolist(),
    }
    conversion = np.asarray(columns["conversion"], object)
    is_converted = np.array([bool(text) for text in conversion]) & accepted
    converted = {
        "index": index[is_converted],
        "origin": origin[is_converted].tolist(),
        "held": conversion[is_converted].tolist(),
    }
    write_sealed_table(_rejected_part(work, number), pa.table(rejected, REJECTED_SCHEMA))
    write_sealed_table(_converted_part(work, number), pa.table(converted, _CONVERTED_SCHEMA))
    write_sealed_table(_manifest_part(work, number), manifest)
    return int(accepted.sum())


def finish_tables(work: Path, num_ranges: int, num_expected: int) -> FinishedTables:
    """Joins the parts of all ranges into the manifest and the table of rejected samples.

    Args:
        work: The directory of the dataset that is made.
        num_ranges: How many ranges there are.
        num_expected: How many samples the source has.

    Returns:
        What they hold.

    Raises:
        InputError: If no sample is accepted, or all images are equal.
        RunError: If samples are missing.
    """
    manifests = []
    rejected_parts = []
    converted_parts = []
    for number in range(num_ranges):
        manifests.append(read_sealed_table(_manifest_part(work, number)))
        rejected_parts.append(read_sealed_table(_rejected_part(work, number)))
        converted_parts.append(read_sealed_table(_converted_part(work, number)))
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
    manifest = pa.concat_tables(manifests)
    return FinishedTables(
        accepted=manifest["index"].to_numpy(),
        num_rejected=rejected.num_rows,
        notes=(
            *_said_rejected(rejected, num_expected),
            *write_converted(work, pa.concat_tables(converted_parts)),
            *write_duplicates(work, manifest),
        ),
    )


def write_converted(work: Path, converted: pa.Table) -> tuple[str, ...]:
    """Writes which images were converted to 8-bit RGB, if some were, and returns a note on them.

    Args:
        work: The directory of the dataset that is made.
        converted: A row for each: its index, its origin and what its file held.
    """
    if not converted.num_rows:
        return ()
    write_table(work / CONVERTED, converted.sort_by("index"))
    kinds = _tally(converted["held"].to_pylist())
    return (f"{converted.num_rows} images became 8-bit RGB ({kinds}): see {CONVERTED}",)


def _said_rejected(rejected: pa.Table, num_expected: int) -> tuple[str, ...]:
    if not rejected.num_rows:
        return ()
    reasons = _tally(rejected["reason"].to_pylist())
    note = (
        f"{rejected.num_rows} of {num_expected} samples were rejected ({reasons}): see {REJECTED}; "
        "they stay in the data, where nobody looked at them"
    )
    return (note,)


def _tally(texts: list[str]) -> str:
    """Returns the most frequent texts with their counts."""
    ordered = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    parts = []
    for text, count in ordered[:_NUM_SHOWN]:
        parts.append(f"{count} x {shortened(text, _SHOWN_CHARACTERS)}")
    if len(ordered) > _NUM_SHOWN:
        num_others = sum(count for _, count in ordered[_NUM_SHOWN:])
        parts.append(f"{num_others} others")
    return "; ".join(parts)


def write_duplicates(work: Path, manifest: pa.Table) -> tuple[str, ...]:
    """Writes which images are exact copies of one another, if some are, and returns a note on them.

    The table `duplicates.parquet` has a row for each of them, with the number of its group.

    Args:
        work: The directory of the dataset that is made.
        manifest: By ascending index.
    """
    hashes = manifest["sha256"].combine_chunks().dictionary_encode()
    image = hashes.indices.to_numpy()  # numbers in the order in which images come first
    in_group = np.bincount(image)[image] > 1
    if not in_group.any():
        return ()
    _, group = np.unique(image[in_group], return_inverse=True)
    index = manifest["index"].to_numpy()[in_group]
    label = manifest["label"].to_numpy()[in_group]
    order = np.lexsort((index, group))
    columns = {"group": group[order], "index": index[order], "label": label[order]}
    write_table(work / DUPLICATES, pa.table(columns, _DUPLICATES_SCHEMA))
    num_groups = int(group.max()) + 1
    lowest = np.full(num_groups, np.iinfo(np.int64).max)
    highest = np.full(num_groups, -1)
    np.minimum.at(lowest, group, label)
    np.maximum.at(highest, group, label)
    num_mixed = int((lowest != highest).sum())
    note = (
        f"{len(group)} images are exact copies of one another, in {num_groups} groups, "
        f"{num_mixed} of them with different labels: see {DUPLICATES}"
    )
    return (note,)


def _manifest_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"manifest-{number:05d}{SEALED_SUFFIX}"


def _converted_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"converted-{number:05d}{SEALED_SUFFIX}"


def _rejected_part(work: Path, number: int) -> Path:
    return work / SCRATCH / "parts" / f"rejected-{number:05d}{SEALED_SUFFIX}"
