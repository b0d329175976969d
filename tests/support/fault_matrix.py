"""The matrix of faults: every kind of process killed at every stage, and what that cost."""

import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.execution.local import LocalExecutor
from tests.support.fault_driver import KILLED, run_driver
from tests.support.faults import STAGES, TARGETS, Fault, Target, Task, run_task, store_hashes
from tests.support.ray_nodes import mend_cluster

MAX_DRIVERS = 3  # that are started for one cell
# The folders of the store that a stage's run makes again.
REMADE = {
    "ingest": ("ingest",),
    "probe": ("probe",),
    "scoring": ("evidence",),
    "d_br": ("d_br",),
    "d_st extractor": ("d_st",),
    "d_st classifier": ("d_st",),
    "sweep": ("sweep", "split", "evaluation"),
}


@dataclass(frozen=True)
class Outcome:
    """One cell of the matrix."""

    stage: str
    target: Target
    struck: bool
    recovered: bool  # every byte is that of the undisturbed run
    seconds: float  # until the run had ended, drivers that were started again included
    num_drivers: int
    errors: str = ""  # of the last driver, if it failed


def make_reference(data: Path, store: Path) -> None:
    """Runs everything undisturbed in this process, without Ray."""
    run_task(Task(str(store), str(data), sweep=True), LocalExecutor("numpy"))


def copy_without(reference: Path, stage: str, folder: Path) -> Path:
    """Returns a copy, in `folder`, of the store `reference` without what `stage` makes."""
    store = folder / secrets.token_hex(4)
    shutil.copytree(reference, store)
    for name in REMADE[stage]:
        shutil.rmtree(store / name)
    return store


def try_cell(
    cluster: Any, reference: Path, data: Path, *, scratch: Path, stage: str, target: Target
) -> Outcome:
    """Runs one stage alone and strikes it.

    Args:
        cluster: What it runs on.
        reference: The store of the undisturbed run, which the other stages are taken from.
        data: The folder of `tiny.write_digits`.
        scratch: A folder for the store and the marker.
        stage: One of STAGES.
        target: One of TARGETS, or "none" to leave the run alone.
    """
    store = copy_without(reference, stage, scratch)
    marker = scratch / f"struck-{secrets.token_hex(4)}"
    fault = Fault() if target == "none" else Fault(target, stage, str(marker))
    task = Task(str(store), str(data), sweep=stage == "sweep", fault=fault)
    start = time.monotonic()
    num_drivers = 0
    while True:
        driver = run_driver(task, cluster.address)
        num_drivers += 1
        if driver.returncode != KILLED or num_drivers == MAX_DRIVERS:
            break
    seconds = time.monotonic() - start
    if target == "node":
        mend_cluster(cluster)
    recovered = driver.returncode == 0 and store_hashes(store) == store_hashes(reference)
    shutil.rmtree(store)
    return Outcome(
        stage=stage,
        target=target,
        struck=marker.exists(),
        recovered=recovered,
        seconds=seconds,
        num_drivers=num_drivers,
        errors="" if recovered else driver.stderr[-2000:],
    )


def format_matrix(outcomes: Sequence[Outcome]) -> str:
    """Returns a table: what was recovered, and the seconds it cost beyond a run left alone."""
    by_cell = {(outcome.stage, outcome.target): outcome for outcome in outcomes}
    header = "".join(f"{stage:>18}" for stage in STAGES)
    lines = [f"{'killed':<8}{header}"]
    for target in ("none", *TARGETS):
        line = f"{target:<8}"
        for stage in STAGES:
            outcome = by_cell.get((stage, target))
            undisturbed = by_cell.get((stage, "none"))
            line += f"{_format_cell(outcome, undisturbed):>18}"
        lines.append(line)
    return "\n".join(lines)


def _format_cell(outcome: Outcome | None, undisturbed: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.target == "none":
        return f"{outcome.seconds:.0f} s"
    word = "LOST"
    if outcome.recovered:
        word = "recovered" if outcome.struck else "not struck"
    if undisturbed is None:
        return word
    return f"{word} {outcome.seconds - undisturbed.seconds:+.0f} s"
