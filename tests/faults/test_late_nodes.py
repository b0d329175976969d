"""A stage that finds no node with CPUs waits for one."""

import subprocess
from pathlib import Path

import pytest

from tests.support.fault_driver import start_driver
from tests.support.fault_matrix import copy_without
from tests.support.faults import Task, store_hashes
from tests.support.ray_nodes import cluster_of_nodes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize("stage", ["ingest", "probe", "scoring"])
def test_a_stage_waits_for_a_node_where_none_is_up(
    reference: Path, digits: Path, tmp_path: Path, stage: str
) -> None:
    store = copy_without(reference, stage, tmp_path)
    with cluster_of_nodes(num_nodes=0) as head_only:
        with start_driver(Task(str(store), str(digits)), head_only.address) as driver:
            with pytest.raises(subprocess.TimeoutExpired):
                driver.communicate(timeout=30)
            head_only.add_node(num_cpus=2)
            errors = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, errors
    assert store_hashes(store) == store_hashes(reference)
