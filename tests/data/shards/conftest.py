"""A dataset of three shards that the tests of all readers read."""

import pytest

from tests.support.random_datasets import RandomDataset, write_random_dataset


@pytest.fixture(scope="package")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> RandomDataset:
    """751 raw images in shards of 700, 50 and 1 samples."""
    return write_random_dataset(tmp_path_factory.mktemp("shards"), [700, 50, 1])
