"""What the cluster has: placement changes no result, so requests shrink to what can be placed."""

import time

import ray

from ray_defense.core.errors import InputError
from ray_defense.core.progress import report_progress
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import ClusterResources


def _cpus_of_living_nodes() -> list[float]:
    return [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]


def nodes_with(num_cpus: float, num_gpus: float) -> list[str]:
    """Returns the ids of the living nodes that have so many CPUs and GPUs at all, free or not."""
    names = []
    for node in ray.nodes():
        resources = node["Resources"]
        has_cpus = resources.get("CPU", 0) >= num_cpus
        if node["Alive"] and has_cpus and resources.get("GPU", 0) >= num_gpus:
            names.append(node["NodeID"])
    return sorted(names)


def largest_node_cpus() -> float:
    """Returns the CPU slots of the living node that has most of them, at least one."""
    return max([1, *_cpus_of_living_nodes()])


def cpu_slots(cpus_each: int) -> int:
    """Returns how many processes of so many CPUs fit on the living nodes.

    A process takes no more CPUs than the largest node has.
    """
    cpus = min(cpus_each, largest_node_cpus())
    return sum(int(node_cpus // cpus) for node_cpus in _cpus_of_living_nodes())


def gpus_for_each(wanted: float | None, count: int) -> float:
    """Returns the GPUs of each of `count` processes.

    Args:
        wanted: GPUs of each; None for one where there is one for each, else none.
        count: How many processes.
    """
    if wanted is not None:
        return wanted
    return 1 if ray.cluster_resources().get("GPU", 0) >= count else 0


def gpu_slots(wanted: float | None) -> int:
    """Returns how many processes of `wanted` GPUs (None: one) there is room for.

    It is 0 where they want none or there is none. Nodes count one by one: the halves of two GPUs
    make none.
    """
    gpus = 1.0 if wanted is None else wanted
    if gpus == 0:
        return 0
    slots = 0
    for node in ray.nodes():
        if node["Alive"]:
            slots += int(node["Resources"].get("GPU", 0) / gpus)
    return slots


def max_actors(cpus_per_actor: int, placement: Placement) -> int:
    """Returns how many actors are started where there are blocks enough."""
    if placement.actors:
        return placement.actors
    return gpu_slots(placement.gpus_per_actor) or cpu_slots(cpus_per_actor)


def cluster_resources(cpus_per_actor: int, placement: Placement) -> ClusterResources:
    """Returns how many actors of so many CPUs each have room, and the free GPUs."""
    resources = ray.cluster_resources()
    return ClusterResources(
        num_nodes=sum(node["Alive"] for node in ray.nodes()),
        num_cpus=int(resources.get("CPU", 0)),
        num_gpus=int(resources.get("GPU", 0)),
        num_actors=max_actors(cpus_per_actor, placement),
    )


def wait_for_nodes(placement: Placement) -> None:
    """Waits until as many nodes with CPUs live as the placement wants.

    Raises:
        InputError: If they do not come in time.
    """
    deadline = time.monotonic() + placement.wait_s
    while True:
        num_up = sum(cpus > 0 for cpus in _cpus_of_living_nodes())
        if num_up >= placement.nodes:
            return
        if time.monotonic() > deadline:
            raise InputError(
                f"{num_up} of the {placement.nodes} nodes that placement.nodes wants were up after "
                f"{placement.wait_s:g} s: start more, or lower it"
            )
        report_progress("nodes", num_up, placement.nodes)
        time.sleep(0.5)
