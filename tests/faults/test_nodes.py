"""Several raylets on one machine: work is placed across them, and where it ran changes no byte."""

from pathlib import Path
from typing import Any

import pytest

from ray_defense.execution.local import LocalExecutor
from tests.support.fault_driver import run_driver
from tests.support.fault_matrix import copy_without
from tests.support.faults import SCORES_ONLY, Task, run_task, store_hashes
from tests.support.ray_nodes import cluster_of_nodes

pytestmark = pytest.mark.ray
CHANGES = {**SCORES_ONLY, "probe.workers.num_workers": "2"}
NodesByWork = dict[str, set[str]]


def run_and_locate(address: str, digits: Path, folder: Path, **placement: Any) -> NodesByWork:
    """Runs two training workers and two scoring actors, and returns which nodes did what.

    Args:
        address: Of the cluster.
        digits: The folder of the data.
        folder: Where `store` is made.
        **placement: Where the work may run.
    """
    places = folder / "places"
    places.mkdir(parents=True)
    task = Task(
        str(folder / "store"),
        str(digits),
        changes=CHANGES,
        placement={"actors": 2, **placement},
        places=str(places),
    )
    finished = run_driver(task, address)
    assert finished.returncode == 0, finished.stderr
    nodes: NodesByWork = {}
    for work in ("ingest", "probe", "scoring"):
        nodes[work] = {path.suffix for path in places.glob(f"{work}.*")}
    return nodes


@pytest.fixture(scope="module")
def spread(
    cluster: Any, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, NodesByWork]:
    """The store of a run that was spread over two nodes, and which of them did what."""
    folder = tmp_path_factory.mktemp("spread")
    nodes = run_and_locate(cluster.address, digits, folder, spread=True, nodes=2)
    return folder / "store", nodes


@pytest.mark.long
def test_training_workers_and_scoring_actors_are_placed_across_two_nodes(
    spread: tuple[Path, NodesByWork],
) -> None:
    _, nodes = spread
    assert len(nodes["probe"]) == 2
    assert len(nodes["scoring"]) == 2


@pytest.mark.long
def test_scores_from_two_nodes_are_the_bytes_of_one_process(
    spread: tuple[Path, NodesByWork], digits: Path, tmp_path: Path
) -> None:
    spread_store, _ = spread
    store = copy_without(spread_store, "scoring", tmp_path)
    run_task(Task(str(store), str(digits), changes=CHANGES), LocalExecutor("numpy"))
    assert store_hashes(store) == store_hashes(spread_store)


@pytest.mark.long
def test_two_workers_give_the_same_bytes_on_one_node_and_across_two(
    cluster: Any, spread: tuple[Path, NodesByWork], digits: Path, tmp_path: Path
) -> None:
    spread_store, _ = spread
    nodes = run_and_locate(cluster.address, digits, tmp_path)
    assert len(nodes["probe"]) == 1
    assert store_hashes(tmp_path / "store") == store_hashes(spread_store)


def test_a_run_that_waits_for_nodes_that_do_not_come_is_refused(
    cluster: Any, digits: Path, tmp_path: Path
) -> None:
    placement = {"nodes": 3, "wait_s": 0.1}
    task = Task(str(tmp_path / "store"), str(digits), placement=placement)
    finished = run_driver(task, cluster.address)
    assert finished.returncode == 1
    assert "2 of the 3 nodes that placement.nodes wants were up" in finished.stderr


@pytest.mark.long
def test_actors_that_share_a_gpu_are_where_it_is(
    spread: tuple[Path, NodesByWork], digits: Path, tmp_path: Path
) -> None:
    """The GPU is a number that Ray is told: actors compute on the CPU, and the bytes are equal."""
    spread_store, _ = spread
    with cluster_of_nodes() as nodes_with_a_gpu:
        gpu_node = nodes_with_a_gpu.add_node(num_cpus=2, num_gpus=1)
        nodes = run_and_locate(
            nodes_with_a_gpu.address, digits, tmp_path, actors=None, gpus_per_actor=0.5
        )
    assert nodes["scoring"] == {f".{gpu_node.node_id}"}
    assert store_hashes(tmp_path / "store") == store_hashes(spread_store)
