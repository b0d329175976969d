"""What the cluster has: placement changes no result, so requests shrink to what can be placed."""

import ray


def _nodes() -> list[float]:
    return [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]


def largest_node() -> float:
    """Returns the CPU slots of the living node that has most of them, at least one."""
    return max([1, *_nodes()])


def cpu_slots(cpus: int) -> int:
    """Returns how many processes of `cpus` CPUs (or of all that the largest node has) fit on the living nodes."""
    each = min(cpus, largest_node())
    return sum(int(node // each) for node in _nodes())
