"""Writes and reads FFCV's .beton files (format version 2) with NumPy alone: raw RGB images, a label and an index each.

A file is a header, one descriptor a field, one metadata row a sample, pages of pixels aligned to the page size, and
the allocation table up to the end. The reader checks all of it first: FFCV trusts these numbers with its memory.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ray_defense.core.errors import Refused

VERSION = 2
MAX_SIDE = 4096  # pixels: our cap; the format's own is 65,535
MIN_PAGE, MAX_PAGE = 1 << 21, 1 << 30  # bytes
RAW = 1  # mode of an image stored as pixels; 0 is JPEG
FIELDS = ((b"image", 2), (b"label", 1), (b"index", 1))  # name, type id: 2 is an RGB image, 1 an int64

HEADER = np.dtype([("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("table_at", "<u8")])
FIELD = np.dtype([("type_id", "u1"), ("name", "S16"), ("arguments", "V1024")])
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("at", "<u8")])
TABLE = np.dtype([("sample", "<u8"), ("at", "<u8"), ("size", "<u8")])


def sample_dtype(num_fields: int) -> np.dtype:
    """Returns the dtype of one metadata row of a file with the first `num_fields` of FIELDS."""
    return np.dtype([("image", IMAGE), ("label", "<i8"), ("index", "<i8")][:num_fields], align=True)


def _data_start(num_samples: int, num_fields: int, page: int) -> int:
    metadata_end = HEADER.itemsize + num_fields * FIELD.itemsize + num_samples * sample_dtype(num_fields).itemsize
    return -(-metadata_end // page) * page


@contextmanager
def _written_aside(path: Path) -> Iterator[BinaryIO]:
    """Yields a file in the directory of `path` that takes its name, synced to disk, only if the block succeeds."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_beton(path: Path, images: np.ndarray, labels: np.ndarray, index: np.ndarray) -> None:
    """Writes one .beton file whole or not at all; the same arrays give the same bytes.

    `images` is uint8 [N, H, W, 3] with 1 <= N and 1 <= H, W <= 4096; `labels` and `index` are int64 [N], non-negative.
    Raises Refused otherwise.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
        raise Refused(f"images must be uint8 [N, H, W, 3] with N >= 1, not {images.dtype} {list(images.shape)}")
    count, height, width, _ = images.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise Refused(f"images must have sides of 1 to {MAX_SIDE} pixels, not {height}x{width}: resize them")
    for name, values in (("labels", labels), ("index", index)):
        if values.dtype != np.int64 or values.shape != (count,) or values.min() < 0:
            raise Refused(f"{name} must be int64 [{count}] and not negative, not {values.dtype} {list(values.shape)}")

    size = 3 * height * width
    page = max(MIN_PAGE, 1 << (16 * size - 1).bit_length())  # 16 images or more: under 6 % of a page stays empty
    per_page = page // size
    start = _data_start(count, len(FIELDS), page)
    rows = np.arange(count)
    at = start + rows // per_page * page + rows % per_page * size
    table_at = start + -(-count // per_page) * page

    samples = np.zeros(count, sample_dtype(len(FIELDS)))
    samples["image"]["mode"], samples["image"]["at"] = RAW, at
    samples["image"]["width"], samples["image"]["height"] = width, height
    samples["label"], samples["index"] = labels, index
    fields = np.zeros(len(FIELDS), FIELD)
    fields["name"], fields["type_id"] = zip(*FIELDS, strict=True)
    table = np.zeros(count, TABLE)
    table["sample"], table["at"], table["size"] = rows, at, size

    with _written_aside(Path(path)) as file:
        file.write(np.array([(VERSION, len(FIELDS), page, count, table_at)], HEADER))
        file.write(fields)
        file.write(samples)
        for first in range(0, count, per_page):
            file.seek(int(at[first]))
            file.write(np.ascontiguousarray(images[first : first + per_page]))
        file.seek(table_at)
        file.write(table)


class BetonFile:
    """A .beton file whose every number has been checked.

    `labels` and `index` are int64 [N], not negative; `image_shape` is (H, W, 3). Fields are image (raw RGB), label and,
    optionally, index (else a sample's index is its place in the file). Raises Refused with the reason if the file is
    anything else: nothing is allocated before the counts fit its size.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._require(self.path.is_file(), "it is not a regular file")
        with open(self.path, "rb") as file:
            samples = self._checked(file, os.fstat(file.fileno()).st_size)
            self._bytes = np.memmap(file, np.uint8, mode="r")
        self.has_index = "index" in samples.dtype.names
        self.labels = samples["label"].astype(np.int64)
        self.index = samples["index"].astype(np.int64) if self.has_index else np.arange(len(samples))
        self._require(self.labels.min() >= 0, f"label {self.labels.min()} is negative")
        self._require(self.index.min() >= 0, f"index {self.index.min()} is negative")
        self.image_shape = (int(samples["image"]["height"][0]), int(samples["image"]["width"][0]), 3)
        self._at = samples["image"]["at"].astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def checked_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns `rows` as contiguous int64 [n]; raises Refused unless all are integers in [0, N)."""
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise Refused(f"rows must be a list of integers, not {rows.dtype} {list(rows.shape)}")
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise Refused(f"rows must lie in [0, {len(self)}), not reach {rows.min()}..{rows.max()}")
        return np.ascontiguousarray(rows, dtype=np.int64)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Returns a copy of the images in `rows` (int [n], in [0, N)), in that order: uint8 [n, H, W, 3]."""
        rows = self.checked_rows(rows)
        windows = np.lib.stride_tricks.sliding_window_view(self._bytes, int(np.prod(self.image_shape)))
        return windows[self._at[rows]].reshape(len(rows), *self.image_shape)

    def _require(self, holds: bool, reason: str) -> None:
        if not holds:
            raise Refused(f"cannot read {str(self.path)!r} as .beton: {reason}; write the file again from its source")

    def _checked(self, file: BinaryIO, num_bytes: int) -> np.ndarray:
        self._require(num_bytes >= HEADER.itemsize, f"{num_bytes} bytes are too few for a header")
        version, num_fields, page, count, table_at = np.fromfile(file, HEADER, 1)[0].tolist()
        self._require(version == VERSION, f"format version {version}, not {VERSION}")
        self._require(MIN_PAGE <= page <= MAX_PAGE and page & (page - 1) == 0, f"page size {page}")
        self._require(num_fields in (2, 3), f"{num_fields} fields, not image, label and (optionally) index")
        self._require(count >= 1, "no samples")
        start = _data_start(count, num_fields, page)
        self._require(start <= table_at <= num_bytes, f"{count} samples and a table at {table_at} in {num_bytes} bytes")
        rest = num_bytes - table_at
        self._require(rest == count * TABLE.itemsize, f"an allocation table of {rest} bytes for {count} samples")

        fields = np.fromfile(file, FIELD, num_fields)
        found = tuple(zip(fields["name"].tolist(), fields["type_id"].tolist(), strict=True))
        self._require(found == FIELDS[:num_fields], f"fields {found}, not {FIELDS[:num_fields]}")
        samples = np.fromfile(file, sample_dtype(num_fields), count)
        image = samples["image"]
        self._require((image["mode"] == RAW).all(), "JPEG images are not supported, raw only")
        height, width = int(image["height"][0]), int(image["width"][0])
        same = (image["height"] == height).all() and (image["width"] == width).all()
        self._require(same, "images of different sizes are not supported")
        self._require(1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE, f"images of {height}x{width} pixels")

        file.seek(table_at)
        table = np.fromfile(file, TABLE, count)
        size = 3 * height * width
        self._require((table["size"] == size).all(), f"the table gives an image another size than {size} bytes")
        once = np.array_equal(np.sort(table["sample"]), np.arange(count))
        self._require(once, "the allocation table does not name each sample once")
        self._require((table["at"] == image["at"][table["sample"]]).all(), "pointers differ between metadata and table")
        at = np.sort(table["at"])
        inside = start <= at[0] and at[-1] <= table_at - min(size, table_at)
        self._require(inside, "an image lies outside the data region")
        self._require((at % page + size <= page).all(), "an image crosses a page")
        self._require((np.diff(at) >= size).all(), "images overlap")
        return samples
