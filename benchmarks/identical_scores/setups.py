"""The setups of scoring that are compared, and the bytes that each of them leaves."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray_defense.data.evidence_table import EVIDENCE_FILE
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Backend
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.stages.decide import SPLIT
from ray_defense.stages.detect import EVIDENCE
from ray_defense.store.artifacts import Store
from tests.support.fault_driver import KILLED, run_driver
from tests.support.faults import TARGETS, Fault, Target, Task, run_task, store_hashes

FILES = {EVIDENCE: EVIDENCE_FILE, SPLIT: "split.parquet"}
BACKENDS: tuple[Backend, ...] = ("numpy", "ffcv")
NUM_CPUS = 4  # of each node, so that 4 actors have room on one


@dataclass(frozen=True)
class Setup:
    """How the dataset is scored."""

    num_nodes: int  # 0: without Ray
    num_actors: int = 1
    backend: Backend = "numpy"
    killed: Target = "none"

    def __str__(self) -> str:
        """Returns the setup in words."""
        if not self.num_nodes:
            return f"no Ray, {self.backend}"
        detail = self.backend if self.killed == "none" else f"{self.killed} killed"
        return f"{self.num_actors} actors, {self.num_nodes} nodes, {detail}"


def setups_on_nodes(
    num_nodes: int, actors: Sequence[int], backends: Sequence[Backend], *, with_kills: bool
) -> list[Setup]:
    """Returns the setups that run on a cluster of some nodes.

    Args:
        num_nodes: 0 for the setups without Ray.
        actors: The numbers of actors.
        backends: Which read the shards.
        with_kills: Whether processes are also killed in the middle of scoring.
    """
    setups = []
    for num_actors in actors if num_nodes else (1,):
        for backend in backends:
            setups.append(Setup(num_nodes, num_actors, backend))
    if with_kills and num_nodes:
        for target in TARGETS:
            setups.append(Setup(num_nodes, 2, killed=target))
    return setups


def prepare_store(task: Task) -> None:
    """Makes what all setups share: the suspect dataset and the probe."""
    plan = plan_recipe(task.configured(), Store(task.store))
    make_steps([plan.probe], plan.context.store, LocalExecutor("numpy"))


def score_with(setup: Setup, task: Task, folder: Path, cluster: Any) -> dict[str, str]:
    """Scores and splits a copy of a prepared store; returns the SHA-256 of evidence and split.

    Args:
        setup: How it is scored.
        task: What `prepare_store` was given.
        folder: Where the copy stands; it is removed.
        cluster: What it runs on; None for a setup without Ray.

    Raises:
        SystemExit: If a driver fails, or the fault did not strike.
    """
    store = folder / "copy"
    marker = folder / "struck"
    shutil.copytree(task.store, store)
    marker.unlink(missing_ok=True)
    placement: dict[str, Any] = {"actors": setup.num_actors, "spread": True}
    if setup.killed == "none":
        placement["nodes"] = setup.num_nodes
    fault = Fault()
    if setup.killed != "none":
        fault = Fault(setup.killed, "scoring", str(marker))
    of_copy = replace(
        task, store=str(store), backend=setup.backend, placement=placement, fault=fault
    )
    if setup.num_nodes:
        _drive_to_end(of_copy, cluster.address)
    else:
        run_task(of_copy, LocalExecutor(setup.backend))
    if setup.killed != "none" and not marker.exists():
        raise SystemExit(f"{setup}: nothing was killed")
    hashes = {}
    for location, files in store_hashes(store).items():
        stage = location.split("/")[0]
        if stage in FILES:
            hashes[stage] = files[FILES[stage]]
    shutil.rmtree(store)
    return hashes


def _drive_to_end(task: Task, address: str) -> None:
    """Runs the driver of a task, again after each kill."""
    while True:
        driver = run_driver(task, address)
        if driver.returncode != KILLED:
            break
    if driver.returncode:
        raise SystemExit(driver.stderr)
