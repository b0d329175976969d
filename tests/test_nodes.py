"""Several raylets on one machine: work is placed across them, and where it ran changes no byte."""

import faults
import pytest

pytestmark = pytest.mark.ray
TWO_WORKERS = {"probe.workers.num_workers": "2"}


@pytest.fixture(scope="module")
def cluster():
    with faults.cluster(cpus=2) as made:
        yield made


def places(folder, what):
    return {path.suffix for path in folder.glob(f"{what}.*")}


def test_scores_of_two_workers_and_two_actors_are_the_same_bytes_on_one_node_and_across_two(cluster, digits, tmp_path):
    found = {}
    for spread in (True, False):
        seen, store = tmp_path / f"places-{spread}", tmp_path / f"store-{spread}"
        seen.mkdir()
        placement = {"spread": spread, "actors": 2, "nodes": 2}
        changes = faults.SCORES_ONLY | TWO_WORKERS
        task = faults.Task(str(store), str(digits), changes=changes, placement=placement, places=str(seen))
        done = faults.drive(task, cluster.address)
        assert done.returncode == 0, done.stderr
        found[spread] = faults.hashes(store)
        assert len(places(seen, "probe")) == (2 if spread else 1)
        assert len(places(seen, "scoring")) == 2 or not spread
    assert found[True] == found[False]


def test_a_run_that_waits_for_nodes_that_do_not_come_is_refused(cluster, digits, tmp_path):
    task = faults.Task(str(tmp_path / "store"), str(digits), placement={"nodes": 3, "wait_s": 0.1})
    done = faults.drive(task, cluster.address)
    assert done.returncode == 1 and "2 of the 3 nodes that placement.nodes wants were up" in done.stderr
