"""Reads FFCV's .beton files (format version 2) without FFCV: RGB images, raw or JPEG, a label and an index each.

A file is a header, one descriptor a field, one metadata row a sample, pages of images aligned to the page size, and
the allocation table up to the end. The reader checks all of it first: FFCV trusts these numbers with its memory.
"""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ray_defense.core.errors import Refused
from ray_defense.data.decode import DecodeError
from ray_defense.data.shards.jpeg import decode_jpeg

VERSION = 2
MAX_SIDE = 4096  # pixels: our cap; the format's own is 65,535
MIN_PAGE, MAX_PAGE = 1 << 21, 1 << 30  # bytes
JPEG, RAW = 0, 1  # modes of an image
FIELDS = ((b"image", 2), (b"label", 1), (b"index", 1))  # name, type id: 2 is an RGB image, 1 an int64

HEADER = np.dtype([("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("table_at", "<u8")])
FIELD = np.dtype([("type_id", "u1"), ("name", "S16"), ("arguments", "V1024")])
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("at", "<u8")])
TABLE = np.dtype([("sample", "<u8"), ("at", "<u8"), ("size", "<u8")])


def sample_dtype(num_fields: int) -> np.dtype:
    """Returns the dtype of one metadata row of a file with the first `num_fields` of FIELDS."""
    return np.dtype([("image", IMAGE), ("label", "<i8"), ("index", "<i8")][:num_fields], align=True)


def data_start(num_samples: int, num_fields: int, page: int) -> int:
    """Returns where the pages begin: at the first multiple of `page` after header, descriptors and metadata."""
    metadata_end = HEADER.itemsize + num_fields * FIELD.itemsize + num_samples * sample_dtype(num_fields).itemsize
    return -(-metadata_end // page) * page


class BetonFile:
    """A .beton file whose every number has been checked.

    `labels` and `index` are int64 [N], not negative; `image_shape` is (H, W, 3); `jpeg` says whether images are JPEG or
    raw. Fields are image, label and, optionally, index (else a sample's index is its place in the file). Raises Refused
    with the reason if the file is anything else: nothing is allocated before the counts fit its size. The header of a
    JPEG is held against `image_shape` whenever the image is read, before a pixel of it is decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._require(self.path.is_file(), "it is not a regular file")
        with open(self.path, "rb") as file:
            samples, self._size = self._checked(file, os.fstat(file.fileno()).st_size)
            self._bytes = np.memmap(file, np.uint8, mode="r")
        self.has_index = "index" in samples.dtype.names
        self.labels = samples["label"].astype(np.int64)
        self.index = samples["index"].astype(np.int64) if self.has_index else np.arange(len(samples))
        self._require(self.labels.min() >= 0, f"label {self.labels.min()} is negative")
        self._require(self.index.min() >= 0, f"index {self.index.min()} is negative")
        self.image_shape = (int(samples["image"]["height"][0]), int(samples["image"]["width"][0]), 3)
        self.jpeg = int(samples["image"]["mode"][0]) == JPEG
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
        """Returns a copy of the images in `rows` (int [n], in [0, N)), in that order: uint8 [n, H, W, 3].

        Raises Refused for a JPEG that does not decode to that shape.
        """
        rows = self.checked_rows(rows)
        if self.jpeg:
            images = np.empty((len(rows), *self.image_shape), np.uint8)
            for place, row in enumerate(rows.tolist()):
                images[place] = self._decoded(row)
            return images
        windows = np.lib.stride_tricks.sliding_window_view(self._bytes, int(np.prod(self.image_shape)))
        return windows[self._at[rows]].reshape(len(rows), *self.image_shape)

    def _decoded(self, row: int) -> np.ndarray:
        at, size = int(self._at[row]), int(self._size[row])
        try:
            return decode_jpeg(self._bytes[at : at + size].tobytes(), *self.image_shape[:2])
        except DecodeError as error:
            self._require(False, f"image {row} is no page of this file: {error}")

    def _require(self, holds: bool, reason: str) -> None:
        if not holds:
            raise Refused(f"cannot read {str(self.path)!r} as .beton: {reason}; write the file again from its source")

    def _checked(self, file: BinaryIO, num_bytes: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the metadata (one row a sample) and the bytes of each image, int64 [N]."""
        self._require(num_bytes >= HEADER.itemsize, f"{num_bytes} bytes are too few for a header")
        version, num_fields, page, count, table_at = np.fromfile(file, HEADER, 1)[0].tolist()
        self._require(version == VERSION, f"format version {version}, not {VERSION}")
        self._require(MIN_PAGE <= page <= MAX_PAGE and page & (page - 1) == 0, f"page size {page}")
        self._require(num_fields in (2, 3), f"{num_fields} fields, not image, label and (optionally) index")
        self._require(count >= 1, "no samples")
        start = data_start(count, num_fields, page)
        self._require(start <= table_at <= num_bytes, f"{count} samples and a table at {table_at} in {num_bytes} bytes")
        rest = num_bytes - table_at
        self._require(rest == count * TABLE.itemsize, f"an allocation table of {rest} bytes for {count} samples")

        fields = np.fromfile(file, FIELD, num_fields)
        found = tuple(zip(fields["name"].tolist(), fields["type_id"].tolist(), strict=True))
        self._require(found == FIELDS[:num_fields], f"fields {found}, not {FIELDS[:num_fields]}")
        samples = np.fromfile(file, sample_dtype(num_fields), count)
        image = samples["image"]
        mode = int(image["mode"][0])
        known = mode in (JPEG, RAW) and (image["mode"] == mode).all()
        self._require(known, f"image modes {np.unique(image['mode'])[:9].tolist()}, not all {JPEG} (JPEG) or all {RAW} (raw)")
        height, width = int(image["height"][0]), int(image["width"][0])
        same = (image["height"] == height).all() and (image["width"] == width).all()
        self._require(same, "images of different sizes are not supported")
        self._require(1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE, f"images of {height}x{width} pixels")

        file.seek(table_at)
        table = np.fromfile(file, TABLE, count)
        sizes = table["size"]
        if mode == RAW:
            raw = 3 * height * width
            self._require((sizes == raw).all(), f"the table gives an image another size than {raw} bytes")
        fit = 1 <= sizes.min() and sizes.max() <= min(page, table_at)  # so that the sums below cannot overflow
        self._require(fit, f"the table gives an image {sizes.min()} bytes or another {sizes.max()}, in pages of {page}")
        once = np.array_equal(np.sort(table["sample"]), np.arange(count))
        self._require(once, "the allocation table does not name each sample once")
        self._require((table["at"] == image["at"][table["sample"]]).all(), "pointers differ between metadata and table")
        order = np.argsort(table["at"])
        at, sizes = table["at"][order], sizes[order]
        inside = start <= at[0] and at[-1] <= table_at - sizes[-1]
        self._require(inside, "an image lies outside the data region")
        self._require((at % page + sizes <= page).all(), "an image crosses a page")
        self._require((np.diff(at) >= sizes[:-1]).all(), "images overlap")
        size_of = np.empty(count, np.int64)
        size_of[table["sample"][order]] = sizes
        return samples, size_of
