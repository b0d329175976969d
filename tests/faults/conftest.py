"""What the fault tests share: one cluster of three raylets, and the store of an undisturbed run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny
from tests.support.fault_matrix import make_reference
from tests.support.ray_nodes import cluster_of_nodes


@pytest.fixture(scope="package")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 256 training and 64 test digits, as Parquet."""
    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    return folder


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """A head without CPUs and two nodes with two each."""
    with cluster_of_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="package")
def reference(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an undisturbed run in one process."""
    store = tmp_path_factory.mktemp("reference") / "store"
    make_reference(digits, store)
    return store
