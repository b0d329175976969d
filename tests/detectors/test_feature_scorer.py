"""Blocks of a dataset, and how long a pass over them may be silent."""

import pytest

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.feature_scorer import cut_into_blocks, scoring_patience_s
from tests.support.random_datasets import write_random_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> SuspectDataset:
    """129 samples in shards of 59, 60 and 10."""
    directory = tmp_path_factory.mktemp("dataset")
    write_random_dataset(directory, [59, 60, 10], side=16)
    return SuspectDataset(directory)


@pytest.mark.parametrize("block_size", [1, 7, 59, 60, 1000])
def test_the_blocks_cover_every_row_once_and_none_crosses_a_shard(dataset, block_size):
    blocks = cut_into_blocks(dataset, block_size)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    rows = []
    for block in blocks:
        assert 0 < block.high - block.low <= block_size
        for row in range(block.low, block.high):
            rows.append((block.shard, row))
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(zip(dataset.shard.tolist(), dataset.row.tolist(), strict=True))


def test_patience_grows_with_the_passes_of_a_block():
    once = scoring_patience_s(1000, [Fct()])
    assert once == 900 + 1000  # half a second for each image and view
    assert scoring_patience_s(1000, [Fct(draws=3), Fct()]) == 900 + 2500
    assert scoring_patience_s(1000, [Fct()], num_models=3) == 900 + 3000
