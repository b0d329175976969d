"""What the cluster has: placement changes no result, so requests shrink to what can be placed."""

import time

import ray

from ray_defense.core import progress
from ray_defense.core.errors import Refused
from ray_defense.execution.placement import Placement


def _nodes() -> list[float]:
    return [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]


def nodes_with(cpus: float, gpus: float) -> list[str]:
    """Returns the ids of the living nodes that have so many CPUs and GPUs at all, free or not."""
    living = ((node["NodeID"], node["Resources"]) for node in ray.nodes() if node["Alive"])
    return sorted(name for name, has in living if has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus)


def largest_node() -> float:
    """Returns the CPU slots of the living node that has most of them, at least one."""
    return max([1, *_nodes()])


def cpu_slots(cpus: int) -> int:
    """Returns how many processes of `cpus` CPUs (or of all that the largest node has) fit on the living nodes."""
    each = min(cpus, largest_node())
    return sum(int(node // each) for node in _nodes())


def gpus_each(wanted: float | None, count: int) -> float:
    """Returns the GPUs of each of `count` processes: what is `wanted`, or (None) one where there is one for each, else none."""
    if wanted is not None:
        return wanted
    return 1 if ray.cluster_resources().get("GPU", 0) >= count else 0


def gpu_slots(wanted: float | None) -> int:
    """Returns how many processes of `wanted` GPUs (None: one) there is room for; 0 where they want none or there is none."""
    each = 1 if wanted is None else wanted
    # by node: the halves of two GPUs make none
    return sum(int(node["Resources"].get("GPU", 0) / each) for node in ray.nodes() if node["Alive"]) if each else 0


def wait_for_nodes(placement: Placement) -> None:
    """Returns when as many nodes with CPUs live as `placement` wants; raises Refused when they do not come in time."""
    deadline = time.monotonic() + placement.wait_s
    while (up := sum(cpus > 0 for cpus in _nodes())) < placement.nodes:
        if time.monotonic() > deadline:
            raise Refused(
                f"{up} of the {placement.nodes} nodes that placement.nodes wants were up after {placement.wait_s:g} s: "
                "start more, or lower it"
            )
        progress.tell("nodes", up, placement.nodes)
        time.sleep(0.5)
