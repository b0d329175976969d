"""A cluster of several raylets on this machine, which notices dead nodes in seconds."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ray_defense.cluster.session import prepare_environment

_HEALTH_CHECKS = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


@contextlib.contextmanager
def cluster_of_nodes(num_nodes: int = 2, num_cpus: int = 2) -> Iterator[Any]:
    """Gives a `ray.cluster_utils.Cluster`: a head without CPUs, and nodes of `num_cpus` each."""
    prepare_environment()
    os.environ.update(_HEALTH_CHECKS)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(num_nodes):
            cluster.add_node(num_cpus=num_cpus)
        yield cluster
    finally:
        cluster.shutdown()


def mend_cluster(cluster: Any, num_nodes: int = 2, num_cpus: int = 2) -> None:
    """Replaces the nodes of a cluster whose raylet is dead."""
    for node in list(cluster.worker_nodes):
        is_dead = not node.remaining_processes_alive()
        if is_dead or any(True for _ in node.dead_processes()):
            cluster.remove_node(node, allow_graceful=False)
    while len(cluster.worker_nodes) < num_nodes:
        cluster.add_node(num_cpus=num_cpus)
