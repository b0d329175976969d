"""Several raylets on one machine: work is placed across them, and where it ran changes no byte."""

from dataclasses import replace
from pathlib import Path

import faults
import pytest

pytestmark = pytest.mark.ray
CHANGES = faults.SCORES_ONLY | {"probe.workers.num_workers": "2"}


@pytest.fixture(scope="module")
def cluster():
    with faults.cluster() as made:
        yield made


def drive(address: str, digits: Path, folder: Path, **placement) -> dict[str, set[str]]:
    """Runs two training workers and two scoring actors with `folder/store`; returns which nodes did what."""
    (folder / "places").mkdir(parents=True)
    task = faults.Task(str(folder / "store"), str(digits), changes=CHANGES, placement={"actors": 2} | placement)
    done = faults.drive(replace(task, places=str(folder / "places")), address)
    assert done.returncode == 0, done.stderr
    return {what: {path.suffix for path in (folder / "places").glob(f"{what}.*")} for what in ("ingest", "probe", "scoring")}


@pytest.fixture(scope="module")
def spread(cluster, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread")
    return folder / "store", drive(cluster.address, digits, folder, spread=True, nodes=2)


def test_training_workers_and_scoring_actors_are_placed_across_two_nodes(spread):
    _, places = spread
    assert len(places["probe"]) == len(places["scoring"]) == 2


def test_scores_from_two_nodes_are_the_bytes_of_one_process(spread, digits, tmp_path):
    from ray_defense.execution.local import LocalExecutor

    store = faults.prepare(spread[0], "scoring", tmp_path)
    faults.run(faults.Task(str(store), str(digits), changes=CHANGES), LocalExecutor("numpy"))
    assert faults.hashes(store) == faults.hashes(spread[0])


@pytest.mark.long
def test_two_workers_give_the_same_bytes_on_one_node_and_across_two(cluster, spread, digits, tmp_path):
    places = drive(cluster.address, digits, tmp_path)
    assert len(places["probe"]) == 1
    assert faults.hashes(tmp_path / "store") == faults.hashes(spread[0])


def test_a_run_that_waits_for_nodes_that_do_not_come_is_refused(cluster, digits, tmp_path):
    task = faults.Task(str(tmp_path / "store"), str(digits), placement={"nodes": 3, "wait_s": 0.1})
    done = faults.drive(task, cluster.address)
    assert done.returncode == 1 and "2 of the 3 nodes that placement.nodes wants were up" in done.stderr


@pytest.mark.long
def test_actors_that_share_a_gpu_are_where_it_is(spread, digits, tmp_path):
    """The GPU is a number that Ray is told, so the actors compute on the CPU, and the bytes are the same."""
    with faults.cluster() as made:
        gpu_node = made.add_node(num_cpus=2, num_gpus=1)
        places = drive(made.address, digits, tmp_path, actors=None, gpus_per_actor=0.5)
    assert places["scoring"] == {f".{gpu_node.node_id}"}
    assert faults.hashes(tmp_path / "store") == faults.hashes(spread[0])
