"""Pictures of soft blobs: their distribution is its own mirror image, as a photograph's nearly is.

The label of a picture is its color, so that a classifier learns it in one or two epochs.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.random import stream, uniform
from ray_defense.data.sources.parquet import Parquet
from tests.support.tiny import png_bytes

NUM_CLASSES = 4
SIDE = 16
NUM_BLOBS = 6
_COLORS = np.array([[230, 60, 60], [60, 200, 60], [70, 70, 230], [200, 180, 60]])


def draw_blobs(index: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns uint8 [N, SIDE, SIDE, 3], each picture a function of seed and index."""
    draws = uniform(stream(seed, "blobs"), index, 4 * NUM_BLOBS).reshape(-1, NUM_BLOBS, 4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    height_NHW = np.zeros((len(index), SIDE, SIDE))
    for blob in range(NUM_BLOBS):
        row, column, width, weight = draws[:, blob].T[:, :, None, None]
        squared = (rows - row * (SIDE - 1)) ** 2 + (columns - column * (SIDE - 1)) ** 2
        height_NHW += (0.3 + weight) * np.exp(-squared / (2 * (1 + 3 * width) ** 2))
    colors_N3 = _COLORS[labels_of(index)]
    pictures = height_NHW[..., None] / 2 * colors_N3[:, None, None, :]
    return pictures.clip(0, 255).astype(np.uint8)


def labels_of(index: np.ndarray) -> np.ndarray:
    """Returns the label of each picture, int64 [N]."""
    return np.asarray(index, dtype=np.int64) % NUM_CLASSES


def stamp_corner(images: np.ndarray) -> np.ndarray:
    """Returns the pictures with a white checker of 4x4 pixels in the lower right corner."""
    stamped = images.copy()
    checker = 255 * (np.indices((4, 4)).sum(axis=0) % 2).astype(np.uint8)
    stamped[:, -5:-1, -5:-1] = checker[:, :, None]
    return stamped


def write_pictures(path: Path, images: np.ndarray, labels: np.ndarray) -> Parquet:
    """Writes pictures to a Parquet file and returns the source."""
    columns = {"image": [png_bytes(image) for image in images], "label": labels}
    pq.write_table(pa.table(columns), path)
    return Parquet(str(path), size=images.shape[1], num_classes=NUM_CLASSES)
