"""Parquet files of encoded images and labels, streamed row by row with a cap on what they decode to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused
from ray_defense.data.decode import DecodeError, decode_image
from ray_defense.data.shards.beton import MAX_SIDE
from ray_defense.data.sources.collect import collect
from ray_defense.data.sources.protocol import Batch, SourceInfo, Split, make_absolute
from ray_defense.data.sources.signature import files_signature

# Encoded images hardly compress: a file that grows more than this was made to fill the memory.
MAX_GROWTH = 100  # decoded bytes per byte of the file
MIN_BUDGET = 2**26  # bytes any file may decode to
_BUFFER_BYTES = 2**20  # read from the file at a time; without a limit Arrow takes a whole column of a row group
_STEP_BYTES = 2**24  # decoded at a time, at most; Arrow's buffers take about three times that


@dataclass(frozen=True)
class Parquet:
    """Columns `image` (bytes, or Hugging Face's struct with `bytes`) and `label` (a number); others are not read.

    The number of classes: `num_classes`, or the names in the schema's metadata under `classes` (JSON list or commas),
    or the largest training label plus one.
    """

    name: ClassVar[str] = "parquet"
    path: str = ""  # a file (training set alone), or a folder with train.parquet and perhaps test.parquet
    size: int = 32  # pixels a side
    num_classes: int | None = None  # None: see above
    limit: int | None = None  # training samples, the first of the source; None: all

    def __post_init__(self) -> None:
        in_range("size", self.size, 8, MAX_SIDE)
        make_absolute(self, "path")
        if self.num_classes is not None:
            at_least("num_classes", self.num_classes, 1)
        if self.limit is not None:
            at_least("limit", self.limit, 1)

    def info(self) -> SourceInfo:
        file = self._file("train")
        names = _class_names(file)
        count = self.num_classes or len(names) or self._infer(file)
        return SourceInfo(count, names if len(names) == count else tuple(map(str, range(count))), self.size)

    def labels(self, split: Split) -> np.ndarray:
        file = self._file(split)
        limit = self.limit if split == "train" else None
        parts = [_whole(rows["label"]) for _, rows in _stream(file, ["label"], 0, limit)] if file else []
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])[:limit]

    def signature(self, split: Split) -> str:
        file = self._file(split)
        return files_signature(file.parent, [file.name]) if file else ""

    def read(self, split: Split, lo: int, hi: int) -> Batch:
        file = self._file(split)
        if split == "train" and self.limit is not None:
            hi = min(hi, self.limit)
        samples = _samples(file, max(lo, 0), hi) if file else ()
        return collect(samples, self.info(), lambda data: decode_image(_present(data), self.size))

    def _file(self, split: Split) -> Path | None:
        path = Path(self.path)
        if self.path and path.is_dir():
            path = path / f"{split}.parquet"
        elif split == "test":
            return None
        if split == "test" and not path.exists():
            return None
        if not self.path or not path.is_file():
            raise Refused(f"no file {str(path)!r}: set the source's path to a file or a folder with train.parquet")
        return path

    def _infer(self, file: Path) -> int:
        labels = self.labels("train")
        count = int(labels.max(initial=-1)) + 1
        if not 1 <= count <= 2 * len(np.unique(labels[labels >= 0])):  # one hostile label must not make a thousand classes
            raise Refused(f"largest label {count - 1} in the {len(labels)} rows of {str(file)!r}: set num_classes")
        return count


def _samples(file: Path, lo: int, hi: int) -> Iterator[tuple[int, str, int, bytes | None]]:
    for start, rows in _stream(file, ["image", "label"], lo, hi):
        first, last = max(lo - start, 0), min(hi - start, len(rows))
        if first >= last:
            continue
        labels = _whole(rows["label"])
        for offset, image in enumerate(rows["image"].slice(first, last - first).to_pylist(), first):
            data = image.get("bytes") if isinstance(image, dict) else image
            yield start + offset, f"row {start + offset}", int(labels[offset]), data


def _stream(file: Path, columns: list[str], lo: int, hi: int | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yields (place of the first row, a few rows) of the row groups that hold rows lo..hi-1."""
    try:
        with pq.ParquetFile(file, buffer_size=_BUFFER_BYTES) as opened:
            _check_schema(file, opened.schema_arrow)
            counts = [opened.metadata.row_group(i).num_rows for i in range(opened.num_row_groups)]
            ends = np.cumsum(counts, dtype=np.int64)
            starts = ends - counts
            groups = np.flatnonzero((ends > lo) & (hi is None or starts < hi)).tolist()
            if not groups:
                return
            budget = max(MIN_BUDGET, MAX_GROWTH * file.stat().st_size)
            # one value of a dictionary page, repeated, can make every row as large as its group says it is
            largest = max(1, *(opened.metadata.row_group(i).total_byte_size for i in groups))
            step = max(1, min(64, _STEP_BYTES // largest)) if "image" in columns else 65536
            place, end = int(starts[groups[0]]), int(ends[groups[-1]])
            for rows in opened.iter_batches(batch_size=step, row_groups=groups, columns=columns, use_threads=False):
                budget -= rows.nbytes
                if budget < 0:
                    raise Refused(f"{str(file)!r} decodes to over {MAX_GROWTH} times its size: encoded images never do")
                yield place, rows
                place += len(rows)
                if hi is not None and place >= hi:
                    return
            if place != end:
                raise Refused(f"{str(file)!r} says it has {end} rows and ends at {place}: write it again")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(f"cannot read {str(file)!r} as Parquet ({error}): damaged or another format") from None


def _check_schema(file: Path, schema: pa.Schema) -> None:
    types = {field.name: field.type for field in schema if schema.names.count(field.name) == 1}
    image, label = types.get("image", pa.null()), types.get("label", pa.null())
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
    if image not in (pa.binary(), pa.large_binary()) or not (pa.types.is_integer(label) or pa.types.is_floating(label)):
        raise Refused(
            f"{str(file)!r} must have the columns image (bytes, or a struct with bytes) and label (a number), "
            f"not {', '.join(f'{field.name}: {field.type}' for field in schema)}"[:1000]
        )


def _whole(labels: pa.Array) -> np.ndarray:
    """Returns int64 [N]: whole numbers below 2^53 as they are, anything else -1."""
    values = labels.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # nulls become NaN
    whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (values == np.rint(values))
    return np.where(whole, values, -1).astype(np.int64)


def _present(data: bytes | None) -> bytes:
    if data is None:
        raise DecodeError("no image bytes in the row")
    return data


def _class_names(file: Path) -> tuple[str, ...]:
    try:
        text = (pq.read_schema(file).metadata or {}).get(b"classes", b"").decode()
        names = json.loads(text) if text.startswith("[") else text.split(",") if text else []
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise Refused(f"cannot read the schema of {str(file)!r} ({error}): damaged or another format") from None
    return tuple(str(name) for name in names)
