"""A source of noise images in a Parquet file, and the images of a dataset in its order."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ray_defense.core.random import stream, uniform
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.store.artifacts import Artifact

NUM_IMAGES = 250
SIDE = 16
NUM_CLASSES = 3


def noise_images(key: int, index: np.ndarray) -> np.ndarray:
    """Returns uint8 [N, SIDE, SIDE, 3], each image a function of key and index."""
    values = 256 * uniform(key, index, SIDE * SIDE * 3)
    return values.astype(np.uint8).reshape(len(index), SIDE, SIDE, 3)


def noise_png(number: int) -> bytes:
    """Returns image `number` as PNG."""
    pixels = noise_images(stream(0, "image"), np.array([number]))[0]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_noise(
    path: Path,
    broken: Mapping[int, bytes] | None = None,
    labels: Mapping[int, int | None] | None = None,
    count: int = NUM_IMAGES,
) -> Parquet:
    """Writes images of noise with labels 0, 1, 2, 0, ... and returns the source.

    Args:
        path: The file.
        broken: What some rows hold instead of their image.
        labels: The labels of some rows.
        count: The number of rows.
    """
    broken = broken or {}
    labels = labels or {}
    images = []
    row_labels = []
    for row in range(count):
        images.append(broken[row] if row in broken else noise_png(row))
        row_labels.append(labels.get(row, row % NUM_CLASSES))
    columns = {
        "image": pa.array(images, pa.binary()),
        "label": pa.array(row_labels, pa.int64()),
    }
    pq.write_table(pa.table(columns), path)
    return Parquet(str(path), size=SIDE, num_classes=NUM_CLASSES)


def read_all(artifact: Artifact) -> tuple[SuspectDataset, np.ndarray]:
    """Returns a dataset and its images, uint8 [N, H, W, 3], in the order of its index."""
    reader = open_reader(artifact.path, "numpy")
    dataset = reader.dataset
    images: dict[int, np.ndarray] = {}
    for shard in np.unique(dataset.shard).tolist():
        rows = np.arange((dataset.shard == shard).sum())
        for batch in reader.batches(shard, rows, 64):
            images.update(zip(batch.index.tolist(), batch.images.numpy(), strict=True))
    return dataset, np.stack([images[index] for index in dataset.index.tolist()])
