"""Whether every node of the cluster sees the store: stages pass paths from node to node."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_defense.core.errors import InputError, RunError

PATIENCE_S = 60.0  # for all nodes together, the start of a process on each included


def check_store_visible(root: Path) -> None:
    """Checks that every living node reads and writes the directory `root` as the driver does.

    Each node reads what the driver has just written there, and writes what the driver then reads.
    A single node is the driver's own and is not asked.

    Raises:
        InputError: Naming the first node that does not see the directory, or cannot write there.
        RunError: For a node that does not answer.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    folder = root / f".visible-{secrets.token_hex(8)}"
    word = secrets.token_hex(16)

    # Not a function of the module: it travels by value, so that a node need not import us.
    def look(node_id: str) -> str:
        try:
            if not (folder / "word").is_file() or (folder / "word").read_text() != word:
                return "does not see"
            (folder / node_id).write_text(word)
        except OSError as error:
            return f"cannot write ({error.strerror}) in"
        return ""

    try:
        folder.mkdir()
        (folder / "word").write_text(word)
        reasons = _ask_nodes(look, nodes)
        for node in nodes:
            answer = folder / node["NodeID"]
            reason = reasons[node["NodeID"]]
            if not reason and not (answer.is_file() and answer.read_text() == word):
                reason = "has another disk at"
            if reason:
                raise InputError(
                    f"the node {node['NodeName']} {reason} {root}: put the store on a disk that "
                    "all nodes mount there (--store, or RAY_DEFENSE_CACHE where the store is a URI)"
                )
    except OSError as error:
        raise InputError(f"cannot write in the store {root}: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask_nodes(look: Callable[[str], str], nodes: list[dict[str, Any]]) -> dict[str, str]:
    """Returns what `look` says on each node, by its id, also on nodes without CPUs."""
    task = ray.remote(look)
    asked = {}
    for node in nodes:
        on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        pinned = task.options(num_cpus=0, max_retries=1, scheduling_strategy=on_node)
        asked[pinned.remote(node["NodeID"])] = node
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
    reasons = {}
    for reference, node in asked.items():
        if reference not in answered:
            raise RunError(
                f"the node {node['NodeName']} did not say in {PATIENCE_S:.0f} s whether it sees "
                "the store: is it up?"
            )
        try:
            reasons[node["NodeID"]] = ray.get(reference)
        except RayError as error:
            last_line = str(error).strip().splitlines()[-1]
            raise RunError(
                f"the node {node['NodeName']} could not be asked whether it sees the store: "
                f"{last_line}"
            ) from error
    return reasons
