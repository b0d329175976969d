"""Reads shards through a memory map, JPEG pages with Pillow: nothing to install or to compile."""

from collections.abc import Iterator

import numpy as np
import torch

from ray_defense.core.checks import check_at_least
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset


class NumpyReader:
    """The reader that needs NumPy and Pillow alone (see `ShardReader`)."""

    backend = "numpy"

    def __init__(self, dataset: SuspectDataset) -> None:
        self.dataset = dataset

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        check_at_least("batch_size", batch_size, 1)
        if len(rows) == 0:
            return iter(())
        file = self.dataset.open_shard(shard)
        return _batches_of(file, file.checked_rows(rows), batch_size)


def _batches_of(file: BetonFile, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
    for first in range(0, len(rows), batch_size):
        chosen = rows[first : first + batch_size]
        yield ImageBatch(
            images=torch.from_numpy(file.images(chosen)),
            labels=torch.from_numpy(file.labels[chosen]),
            index=torch.from_numpy(file.index[chosen]),
        )
