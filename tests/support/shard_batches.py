"""What the batches of every shard reader must hold."""

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.data.shards.reader import ImageBatch, ShardReader
from tests.support.random_datasets import RandomDataset


def check_batches(
    batches: list[ImageBatch], index: np.ndarray, dataset: RandomDataset, batch_size: int
) -> None:
    """Asserts that batches hold the samples `index`, in this order."""
    for number, batch in enumerate(batches):
        expected_index = index[number * batch_size : (number + 1) * batch_size]
        positions = (expected_index - 10) // 3
        assert batch.images.dtype == torch.uint8
        assert batch.labels.dtype == torch.int64
        assert batch.index.dtype == torch.int64
        np.testing.assert_array_equal(batch.images.numpy(), dataset.images[positions])
        np.testing.assert_array_equal(batch.labels.numpy(), dataset.labels[positions])
        np.testing.assert_array_equal(batch.index.numpy(), expected_index)
    assert sum(len(batch.index) for batch in batches) == len(index)


def check_random_passes(reader: ShardReader, dataset: RandomDataset) -> None:
    """Asserts that a reader gives random rows of shards 0, 1, 2 and again 0 in four batch sizes."""
    for seed, batch_size in ((0, 64), (1, 256), (2, 7), (3, 1)):
        for shard in (0, 1, 2, 0):
            all_rows = np.sort(reader.dataset.row[reader.dataset.shard == shard])
            rows = np.random.default_rng(seed).permutation(all_rows)[:130]
            index = reader.dataset.open_shard(shard).index[rows]
            batches = list(reader.batches(shard, rows, batch_size))
            check_batches(batches, index, dataset, batch_size=batch_size)


def check_refusals(reader: ShardReader) -> None:
    """Asserts that a reader of shards of 700, 50 and 1 samples refuses what is not in them."""
    unknown_shard = (9, [0], 1)
    unknown_rows = [(0, [700], 1), (0, [-1], 1), (0, [0.5], 1)]
    no_batch_size = (0, [0], 0)
    for shard, rows, batch_size in (unknown_shard, *unknown_rows, no_batch_size):
        with pytest.raises(InputError):
            reader.batches(shard, np.array(rows), batch_size)
    assert list(reader.batches(0, np.array([], np.int64), 4)) == []
