"""The protocol of what reads shards in batches; every back end gives equal tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ray_defense.data.suspect_dataset import SuspectDataset


@dataclass(frozen=True)
class ImageBatch:
    """Samples as they are stored."""

    images: torch.Tensor  # uint8 [B, H, W, 3]
    labels: torch.Tensor  # int64 [B]
    index: torch.Tensor  # int64 [B]


class ShardReader(Protocol):
    """Reads batches of a suspect dataset."""

    backend: str
    dataset: SuspectDataset

    def batches(self, shard: int, rows: np.ndarray, batch_size: int) -> Iterator[ImageBatch]:
        """Returns samples of one shard in batches that own their memory.

        Args:
            shard: The number of the shard.
            rows: The rows to read, int [n], in this order.
            batch_size: At least 1; the last batch may be smaller, none is dropped.

        Raises:
            InputError: For an unknown shard or row, or a batch size under 1.
        """
