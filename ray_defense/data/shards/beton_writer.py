"""Writes FFCV's .beton files (format version 2, see `beton`) without FFCV, whole or not at all."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.data.shards.beton import (
    FIELD,
    FIELDS,
    HEADER,
    JPEG,
    MAX_SIDE,
    MIN_PAGE,
    RAW,
    TABLE,
    VERSION,
    data_start,
    sample_dtype,
)
from ray_defense.data.shards.jpeg import encode_jpeg


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


def _place(sizes: Sequence[int], start: int, page: int) -> tuple[np.ndarray, int]:
    """Returns where images of `sizes` bytes stand from `start` on, none across two pages, and where the next page begins."""
    at, offset = [], 0
    for size in sizes:
        if offset % page + size > page:
            offset = -(-offset // page) * page
        at.append(start + offset)
        offset += size
    return np.array(at), start + -(-offset // page) * page


def write_beton(path: Path, images: np.ndarray, labels: np.ndarray, index: np.ndarray, jpeg_quality: int | None = None) -> None:
    """Writes one .beton file whole or not at all; the same arrays give the same bytes.

    `images` is uint8 [N, H, W, 3] with 1 <= N and 1 <= H, W <= 4096; `labels` and `index` are int64 [N], non-negative;
    `jpeg_quality` is 1 to 100, or None for raw pixels. Raises Refused otherwise.
    """
    if jpeg_quality is not None:
        in_range("jpeg_quality", jpeg_quality, 1, 100)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
        raise Refused(f"images must be uint8 [N, H, W, 3] with N >= 1, not {images.dtype} {list(images.shape)}")
    count, height, width, _ = images.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise Refused(f"images must have sides of 1 to {MAX_SIDE} pixels, not {height}x{width}: resize them")
    for name, values in (("labels", labels), ("index", index)):
        if values.dtype != np.int64 or values.shape != (count,) or values.min() < 0:
            raise Refused(f"{name} must be int64 [{count}] and not negative, not {values.dtype} {list(values.shape)}")

    pages = images if jpeg_quality is None else [encode_jpeg(image, jpeg_quality) for image in images]
    sizes = [3 * height * width] * count if jpeg_quality is None else [len(data) for data in pages]
    page = max(MIN_PAGE, 1 << (16 * max(sizes) - 1).bit_length())  # 16 images or more: under 6 % of a page stays empty
    at, table_at = _place(sizes, data_start(count, len(FIELDS), page), page)

    samples = np.zeros(count, sample_dtype(len(FIELDS)))
    samples["image"]["mode"], samples["image"]["at"] = RAW if jpeg_quality is None else JPEG, at
    samples["image"]["width"], samples["image"]["height"] = width, height
    samples["label"], samples["index"] = labels, index
    fields = np.zeros(len(FIELDS), FIELD)
    fields["name"], fields["type_id"] = zip(*FIELDS, strict=True)
    table = np.zeros(count, TABLE)
    table["sample"], table["at"], table["size"] = np.arange(count), at, sizes

    with _written_aside(Path(path)) as file:
        file.write(np.array([(VERSION, len(FIELDS), page, count, table_at)], HEADER))
        file.write(fields)
        file.write(samples)
        for place, data in zip(at.tolist(), pages, strict=True):
            if file.tell() != place:
                file.seek(place)  # a new page
            file.write(data if isinstance(data, bytes) else np.ascontiguousarray(data))
        file.seek(table_at)
        file.write(table)
