"""Reads FFCV's .beton files without FFCV (format version 2; Leclerc et al., CVPR 2023).

A file holds a header, one descriptor for each field (image, label and, optionally, index), one row
of metadata for each sample, pages of images that are aligned to the page size, and an allocation
table that ends the file. All of it is checked before any of it is used: FFCV trusts these numbers
with its memory.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError
from ray_defense.data.limits import MAX_PIXELS, MAX_SIDE
from ray_defense.data.shards.jpeg import decode_jpeg

VERSION = 2
MIN_PAGE_SIZE = 1 << 21  # bytes
MAX_PAGE_SIZE = 1 << 30
JPEG = 0  # the mode of an image
RAW = 1
# Name and type number of each field; type 2 is an RGB image, type 1 an int64.
FIELDS = ((b"image", 2), (b"label", 1), (b"index", 1))

# Offsets count bytes from the start of the file.
HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("table_offset", "<u8"),
    ]
)
FIELD = np.dtype([("type_id", "u1"), ("name", "S16"), ("arguments", "V1024")])
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("offset", "<u8")])
TABLE = np.dtype([("sample", "<u8"), ("offset", "<u8"), ("size", "<u8")])


def sample_dtype(num_fields: int) -> "np.dtype[np.void]":
    """Returns the type of one row of metadata in a file with the first `num_fields` of FIELDS."""
    columns: list[Any] = [("image", IMAGE), ("label", "<i8"), ("index", "<i8")]
    return np.dtype(columns[:num_fields], align=True)


def data_start(num_samples: int, num_fields: int, page_size: int) -> int:
    """Returns the offset of the first page.

    It is the first multiple of the page size after header, descriptors and metadata.
    """
    metadata_size = num_samples * sample_dtype(num_fields).itemsize
    metadata_end = HEADER.itemsize + num_fields * FIELD.itemsize + metadata_size
    return -(-metadata_end // page_size) * page_size


@dataclass(frozen=True)
class _Header:
    """The numbers of a checked header."""

    num_fields: int
    page_size: int
    num_samples: int
    table_offset: int

    @property
    def first_page(self) -> int:
        return data_start(self.num_samples, self.num_fields, self.page_size)


class CheckedBeton:
    """A .beton file every number of which has been checked, with images of any sizes and modes.

    Attributes:
        path: The path of the file.
        labels: The label of each sample, int64 [N].
        num_fields: 2, or 3 with the field `index`.
        samples: The metadata, one row for each sample (see `sample_dtype`).
        sizes: The bytes of each image in the file, int64 [N].
    """

    def __init__(self, path: Path) -> None:
        """Checks the file; no image is read.

        Nothing is allocated before the counts in the header fit the size of the file.

        Raises:
            InputError: If the file is anything else, with the reason.
        """
        self.path = Path(path)
        self._require(self.path.is_file(), "it is not a regular file")
        with open(self.path, "rb") as file:
            header = self._read_header(file, os.fstat(file.fileno()).st_size)
            self.samples = self._read_samples(file, header)
            self.sizes = self._read_sizes(file, header, self.samples["image"])
        self.num_fields = header.num_fields
        self.labels = self.samples["label"].astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def _error(self, reason: str) -> InputError:
        return InputError(
            f"cannot read {str(self.path)!r} as .beton: {reason}; "
            "write the file again from its source"
        )

    def _require(self, holds: bool | np.bool, reason: str) -> None:
        if not holds:
            raise self._error(reason)

    def _read_header(self, file: BinaryIO, file_size: int) -> _Header:
        self._require(file_size >= HEADER.itemsize, f"{file_size} bytes are too few for a header")
        numbers = np.fromfile(file, HEADER, 1)[0]
        version = int(numbers["version"])
        num_fields = int(numbers["num_fields"])
        page_size = int(numbers["page_size"])
        num_samples = int(numbers["num_samples"])
        table_offset = int(numbers["table_offset"])
        header = _Header(num_fields, page_size, num_samples, table_offset=table_offset)
        self._require(version == VERSION, f"format version {version}, not {VERSION}")
        is_power_of_two = page_size & (page_size - 1) == 0
        page_size_allowed = MIN_PAGE_SIZE <= page_size <= MAX_PAGE_SIZE and is_power_of_two
        self._require(page_size_allowed, f"page size {page_size}")
        self._require(
            num_fields in (2, 3), f"{num_fields} fields, not image, label and (optionally) index"
        )
        self._require(num_samples >= 1, "no samples")
        self._require(
            header.first_page <= table_offset <= file_size,
            f"{num_samples} samples and a table at {table_offset} in {file_size} bytes",
        )
        table_size = file_size - table_offset
        self._require(
            table_size == num_samples * TABLE.itemsize,
            f"an allocation table of {table_size} bytes for {num_samples} samples",
        )
        return header

    def _read_samples(self, file: BinaryIO, header: _Header) -> np.ndarray:
        """Returns the metadata, one row for each sample; the file stands after the header."""
        descriptors = np.fromfile(file, FIELD, header.num_fields)
        names = descriptors["name"].tolist()
        fields = tuple(zip(names, descriptors["type_id"].tolist(), strict=True))
        expected_fields = FIELDS[: header.num_fields]
        self._require(fields == expected_fields, f"fields {fields}, not {expected_fields}")

        samples = np.fromfile(file, sample_dtype(header.num_fields), header.num_samples)
        self._check_images(samples["image"])
        return samples

    def _check_images(self, images: np.ndarray) -> None:
        """Raises InputError for modes that nothing reads, and for images that are too large."""
        modes = np.unique(images["mode"])[:9].tolist()
        self._require(
            set(modes) <= {JPEG, RAW}, f"image modes {modes}, not {JPEG} (JPEG) or {RAW} (raw)"
        )
        pixels = images["height"].astype(np.int64) * images["width"]
        self._require(
            pixels.min() >= 1 and pixels.max() <= MAX_PIXELS,
            f"images of {pixels.min()} to {pixels.max()} pixels, and not 1 to {MAX_PIXELS}",
        )

    def _read_sizes(self, file: BinaryIO, header: _Header, images: np.ndarray) -> np.ndarray:
        """Returns the bytes of each image, int64 [N], from the allocation table."""
        file.seek(header.table_offset)
        table = np.fromfile(file, TABLE, header.num_samples)
        each_sample_once = np.array_equal(np.sort(table["sample"]), np.arange(header.num_samples))
        self._require(each_sample_once, "the allocation table does not name each sample once")
        sizes = table["size"]
        listed = images[table["sample"]]
        raw_sizes = 3 * listed["height"].astype(np.uint64) * listed["width"].astype(np.uint64)
        other_sizes = raw_sizes[(sizes != raw_sizes) & (listed["mode"] == RAW)]
        self._require(
            not len(other_sizes),
            f"the table gives an image another size than {other_sizes[:1].sum()} bytes",
        )
        # No image may exceed its page or the data region, so the sums below cannot overflow.
        max_size = min(header.page_size, header.table_offset)
        self._require(
            1 <= sizes.min() and sizes.max() <= max_size,
            f"the table gives an image {sizes.min()} bytes or another {sizes.max()}, "
            f"in pages of {header.page_size}",
        )
        same_offsets = (table["offset"] == images["offset"][table["sample"]]).all()
        self._require(same_offsets, "pointers differ between metadata and table")

        table = table[np.argsort(table["offset"])]
        sizes = table["size"]
        starts = table["offset"]
        inside = header.first_page <= starts[0] and starts[-1] <= header.table_offset - sizes[-1]
        self._require(inside, "an image lies outside the data region")
        within_page = (starts % header.page_size + sizes <= header.page_size).all()
        self._require(within_page, "an image crosses a page")
        self._require((np.diff(starts) >= sizes[:-1]).all(), "images overlap")
        size_of_sample = np.empty(header.num_samples, np.int64)
        size_of_sample[table["sample"]] = sizes
        return size_of_sample


class BetonFile(CheckedBeton):
    """A shard: a checked .beton file whose images all have one size and one mode.

    Attributes:
        path: The path of the file.
        labels: The label of each sample, int64 [N], not negative.
        index: The index of each sample, int64 [N], not negative; its row in a file without the
            field `index`.
        has_index: Whether the file has the field `index`.
        image_shape: (H, W, 3), the same for all images.
        jpeg: Whether all images are JPEG; otherwise all are raw pixels.
    """

    def __init__(self, path: Path) -> None:
        """Checks the file and maps it into memory.

        A JPEG is held against `image_shape` whenever it is read, before a pixel of it is decoded.

        Raises:
            InputError: If the file is anything else, with the reason.
        """
        super().__init__(path)
        samples = self.samples
        self._bytes = np.memmap(self.path, np.uint8, mode="r")
        self.has_index = self.num_fields == len(FIELDS)
        if self.has_index:
            self.index = samples["index"].astype(np.int64)
        else:
            self.index = np.arange(len(samples))
        self._require(self.labels.min() >= 0, f"label {self.labels.min()} is negative")
        self._require(self.index.min() >= 0, f"index {self.index.min()} is negative")
        first = samples["image"][0]
        self.image_shape = (int(first["height"]), int(first["width"]), 3)
        self.jpeg = int(first["mode"]) == JPEG
        self._offsets = samples["image"]["offset"].astype(np.int64)

    def checked_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows as contiguous int64 [n].

        Raises:
            InputError: Unless all are integers in [0, N).
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise InputError(
                f"rows must be a list of integers, not {rows.dtype} {list(rows.shape)}"
            )
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise InputError(
                f"rows must lie in [0, {len(self)}), not reach {rows.min()}..{rows.max()}"
            )
        return np.ascontiguousarray(rows, dtype=np.int64)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Returns a copy of some images.

        Args:
            rows: The rows of the images, int [n], in [0, N).

        Returns:
            uint8 [n, H, W, 3], in the order of `rows`.

        Raises:
            InputError: For other rows, or for a page that is no JPEG of this shape.
        """
        rows = self.checked_rows(rows)
        if self.jpeg:
            images = np.empty((len(rows), *self.image_shape), np.uint8)
            for position, row in enumerate(rows.tolist()):
                images[position] = self._decode(row)
            return images
        image_size = int(np.prod(self.image_shape))
        windows = np.lib.stride_tricks.sliding_window_view(self._bytes, image_size)
        flat_images: np.ndarray = windows[self._offsets[rows]]
        return flat_images.reshape(len(rows), *self.image_shape)

    def _decode(self, row: int) -> np.ndarray:
        start = int(self._offsets[row])
        end = start + int(self.sizes[row])
        height, width, _ = self.image_shape
        try:
            return decode_jpeg(self._bytes[start:end].tobytes(), height, width)
        except DecodeError as error:
            raise self._error(f"image {row} is no page of this file: {error}") from error

    def _check_images(self, images: np.ndarray) -> None:
        """Raises InputError unless all images have one known mode and one size."""
        mode = int(images["mode"][0])
        height = int(images["height"][0])
        width = int(images["width"][0])
        one_known_mode = mode in (JPEG, RAW) and (images["mode"] == mode).all()
        modes = np.unique(images["mode"])[:9].tolist()
        self._require(
            one_known_mode, f"image modes {modes}, not all {JPEG} (JPEG) or all {RAW} (raw)"
        )
        one_size = (images["height"] == height).all() and (images["width"] == width).all()
        self._require(one_size, "images of different sizes are not supported")
        self._require(
            1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE, f"images of {height}x{width} pixels"
        )
