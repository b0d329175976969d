"""Whether every node of the cluster sees the store: stages pass paths, so what one node writes another must find."""

import secrets
import shutil
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_defense.core.errors import Failed, Refused

PATIENCE_S = 60.0  # for all nodes together, the start of a process on each included


def check_store(root: Path) -> None:
    """Raises Refused naming the first living node that does not see the directory `root`, or cannot write there.

    Each node reads what the driver has just written there, and writes what the driver then reads. Where there is one node
    alone it is the driver's own, and is not asked. Raises Failed for a node that does not answer.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    folder, word = root / f".visible-{secrets.token_hex(8)}", secrets.token_hex(16)

    def look(node_id: str) -> str:  # not a function of the module: it travels by value, so that a node need not load all of us
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
        said = _ask(look, nodes)
        for node in nodes:
            answer = folder / node["NodeID"]
            reason = said[node["NodeID"]] or ("" if answer.is_file() and answer.read_text() == word else "has another disk at")
            if reason:
                raise Refused(
                    f"the node {node['NodeName']} {reason} {root}: put the store on a disk that all nodes mount there "
                    "(--store, or RAY_DEFENSE_CACHE where the store is a URI)"
                )
    except OSError as error:
        raise Refused(f"cannot write in the store {root}: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask(look: Any, nodes: list[dict[str, Any]]) -> dict[str, str]:
    """Returns what `look` says on each node, by its id, also on those without CPUs."""
    task = ray.remote(look)
    asked = {}
    for node in nodes:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[task.options(num_cpus=0, max_retries=1, scheduling_strategy=here).remote(node["NodeID"])] = node
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
    said = {}
    for reference, node in asked.items():
        if reference not in answered:
            raise Failed(f"the node {node['NodeName']} did not say in {PATIENCE_S:.0f} s whether it sees the store: is it up?")
        try:
            said[node["NodeID"]] = ray.get(reference)
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise Failed(f"the node {node['NodeName']} could not be asked whether it sees the store: {reason}") from error
    return said
