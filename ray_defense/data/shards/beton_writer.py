"""Writes FFCV's .beton files (format version 2, see `beton`) without FFCV, whole or not at all."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError
from ray_defense.core.files import sync_directory
from ray_defense.data.limits import MAX_SIDE
from ray_defense.data.shards.beton import (
    FIELD,
    FIELDS,
    HEADER,
    JPEG,
    MIN_PAGE_SIZE,
    RAW,
    TABLE,
    VERSION,
    data_start,
    sample_dtype,
)
from ray_defense.data.shards.jpeg import encode_jpeg


def write_beton(
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    index: np.ndarray,
    jpeg_quality: int | None = None,
) -> None:
    """Writes one .beton file whole or not at all; the same arrays give the same bytes.

    Args:
        path: The file; one that exists already is replaced.
        images: uint8 [N, H, W, 3] with N >= 1 and H and W from 1 to 4096.
        labels: int64 [N], not negative.
        index: int64 [N], not negative.
        jpeg_quality: 1 to 100 for JPEG pages, None for raw pixels.

    Raises:
        InputError: For other shapes, types or values.
    """
    if jpeg_quality is not None:
        check_in_range("jpeg_quality", jpeg_quality, 1, 100)
    _check_arrays(images, labels, index)
    num_samples, height, width, _ = images.shape
    pages: Sequence[np.ndarray | bytes]
    if jpeg_quality is None:
        mode = RAW
        pages = list(images)
        sizes = [3 * height * width] * num_samples
    else:
        mode = JPEG
        pages = [encode_jpeg(image, jpeg_quality) for image in images]
        sizes = [len(page) for page in pages]
    # A page holds 16 images or more, so less than 6 % of it stays empty.
    page_size = max(MIN_PAGE_SIZE, 1 << (16 * max(sizes) - 1).bit_length())
    first_page = data_start(num_samples, len(FIELDS), page_size)
    offsets, table_offset = _lay_out(sizes, first_page, page_size)

    samples = np.zeros(num_samples, sample_dtype(len(FIELDS)))
    samples["image"]["mode"] = mode
    samples["image"]["offset"] = offsets
    samples["image"]["width"] = width
    samples["image"]["height"] = height
    samples["label"] = labels
    samples["index"] = index
    fields = np.zeros(len(FIELDS), FIELD)
    for row, (name, type_id) in enumerate(FIELDS):
        fields["name"][row] = name
        fields["type_id"][row] = type_id
    table = np.zeros(num_samples, TABLE)
    table["sample"] = np.arange(num_samples)
    table["offset"] = offsets
    table["size"] = sizes

    with _written_aside(Path(path)) as file:
        header = (VERSION, len(FIELDS), page_size, num_samples, table_offset)
        file.write(np.array([header], HEADER).data)
        file.write(fields.data)
        file.write(samples.data)
        for offset, page in zip(offsets.tolist(), pages, strict=True):
            if file.tell() != offset:
                file.seek(offset)  # a new page begins here
            file.write(page if isinstance(page, bytes) else np.ascontiguousarray(page).data)
        file.seek(table_offset)
        file.write(table.data)


def _check_arrays(images: np.ndarray, labels: np.ndarray, index: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
        raise InputError(
            "images must be uint8 [N, H, W, 3] with N >= 1, "
            f"not {images.dtype} {list(images.shape)}"
        )
    num_samples, height, width, _ = images.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InputError(
            f"images must have sides of 1 to {MAX_SIDE} pixels, not {height}x{width}: resize them"
        )
    for name, values in (("labels", labels), ("index", index)):
        if values.dtype != np.int64 or values.shape != (num_samples,) or values.min() < 0:
            raise InputError(
                f"{name} must be int64 [{num_samples}] and not negative, "
                f"not {values.dtype} {list(values.shape)}"
            )


def _lay_out(sizes: Sequence[int], first_page: int, page_size: int) -> tuple[np.ndarray, int]:
    """Returns the offset of each image, none across two pages, and where the next page begins.

    Args:
        sizes: The bytes of each image.
        first_page: The offset of the first page.
        page_size: Bytes, at least as many as the largest image has.
    """
    offsets = []
    end = 0  # from the first page on
    for size in sizes:
        if end % page_size + size > page_size:
            end = -(-end // page_size) * page_size
        offsets.append(first_page + end)
        end += size
    return np.array(offsets), first_page + -(-end // page_size) * page_size


@contextmanager
def _written_aside(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file beside `path` that takes its name once the body has succeeded.

    The file and its new name are synced to disk. After a failure, no trace of it remains.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_directory(path.parent)
