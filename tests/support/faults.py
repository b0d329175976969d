"""Faults where they hurt: a signal sent once, at a named point of a named stage of a run on Ray.

Whichever process works at the point, somewhere on the cluster, sends the signal: to itself, to the
raylet it belongs to, or to the driver.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ray_defense.cluster.session import start_executor
from ray_defense.core.config import override
from ray_defense.core.files import read_json
from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import (
    Backend,
    BlockJob,
    BlockWork,
    Columns,
    Executor,
    IngestJob,
    TrainJob,
    TrialsJob,
    Worker,
)
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.record import RECORD
from ray_defense.sweeps.grid import Axis, Trial, grid_trials
from ray_defense.sweeps.sweep import run_sweep
from tests.support import tiny

Target = Literal["none", "worker", "node", "driver"]

STAGES = ("ingest", "probe", "scoring", "d_br", "d_st extractor", "d_st classifier", "sweep")
# A read task, an actor, a Train worker or a trial; its raylet; the process that started it all.
TARGETS: tuple[Target, ...] = ("worker", "node", "driver")
SCORES_ONLY = {"backdoored": "none", "defenses": "none"}


@dataclass(frozen=True)
class Fault:
    """Which process gets a signal, and where; "none" and "nowhere" where no process does."""

    target: Target = "none"
    stage: str = "nowhere"
    marker: str = ""  # a file that exists once the signal was sent
    signal: int = signal.SIGKILL
    driver: int = 0  # its pid

    def strike(self) -> None:
        """Sends the signal, unless it was sent already."""
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(self._victim(), self.signal)
        time.sleep(5)  # a process that Ray does not end by then works on, beside its replacement

    def _victim(self) -> int:
        if self.target == "driver":
            return self.driver
        return os.getpid() if self.target == "worker" else _raylet_pid()


def _raylet_pid() -> int:
    import psutil

    for parent in psutil.Process().parents():
        if parent.name() == "raylet":
            return int(parent.pid)
    raise LookupError("no raylet is above this process")


@dataclass(frozen=True)
class Task:
    """What a driver is to run in a store, and how."""

    store: str
    data: str  # the folder of `tiny.write_digits`
    recipe: str = "tiny"  # or one of RECIPES
    changes: dict[str, str] = field(default_factory=dict)  # to the recipe, as `--set` takes them
    sweep: bool = False  # whether a sweep is run before the recipe
    backend: Backend = "numpy"
    placement: dict[str, Any] = field(default_factory=dict)
    places: str = ""  # a folder that tells afterwards which nodes did what
    fault: Fault = Fault()
    patience_s: float = 900.0  # of ingest and scoring

    def configured(self) -> Recipe:
        """Returns the recipe with its changes."""
        recipe = tiny.recipe(Path(self.data))
        if self.recipe != "tiny":
            recipe = named_recipe(self.recipe)
        for path, value in self.changes.items():
            recipe = override(recipe, path, value)
        return recipe

    def note_node(self, work: str) -> None:
        """Notes in the folder `places` that this node does some work."""
        if self.places:
            import ray

            Path(self.places, f"{work}.{ray.get_runtime_context().get_node_id()}").touch()


class StrikingExecutor(ExecutorOnDemand):
    """A Ray executor whose work may be struck."""

    def __init__(self, task: Task):
        placement = Placement(**task.placement)
        super().__init__("ray", partial(start_executor, task.backend, placement))
        self._task = task

    def ingest(self, job: IngestJob) -> None:
        write = partial(write_struck, self._task, job.write)
        super().ingest(replace(job, write=write, patience_s=self._task.patience_s))

    def train(self, jobs: Sequence[TrainJob[Any]]) -> None:
        struck = []
        for job in jobs:
            program = partial(train_struck, self._task, job.program, job.num_epochs)
            struck.append(replace(job, program=program))
        super().train(struck)

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        opener = partial(open_struck, self._task, job.open)
        super().run_blocks(replace(job, open=opener, patience_s=self._task.patience_s))

    def run_trials(self, job: TrialsJob) -> None:
        super().run_trials(replace(job, run=partial(run_trial_struck, self._task, job.run)))


def write_struck(
    task: Task, write: Callable[[Columns], Columns], columns: dict[str, Any]
) -> Columns:
    """Writes a shard; the fault strikes before the second one."""
    task.note_node("ingest")
    if task.fault.stage == "ingest" and columns["index"][0] >= 100:
        task.fault.strike()
    return write(columns)


def train_struck(
    task: Task,
    program: Callable[[Worker, Artifact, Any], None],
    num_epochs: int,
    worker: Worker,
    artifact: Artifact,
    inputs: Any,
) -> None:
    """Trains; the fault strikes after an epoch.

    In D-ST that is an epoch of its first part, or (d_st classifier) the one after it.
    """
    stage = artifact.stage
    save = worker.save
    task.note_node(stage)
    strikes_after = num_epochs - 1 if task.fault.stage == "d_st classifier" else 1

    def save_and_strike(state: dict[str, Any]) -> None:
        save(state)
        is_struck_stage = task.fault.stage.split()[0] == stage
        if is_struck_stage and len(state["history"]) == strikes_after:
            task.fault.strike()

    worker.save = save_and_strike  # type: ignore[method-assign, assignment]
    program(worker, artifact, inputs)


def open_struck(
    task: Task, opener: Callable[..., BlockWork[Any]], *arguments: Any
) -> BlockWork[Any]:
    """Opens the work of a scoring actor; the fault strikes in the third block."""
    task.note_node("scoring")
    work = opener(*arguments)

    def score_struck(block: Any) -> None:
        if task.places:
            time.sleep(2)  # one actor alone would be done before another is up
        if task.fault.stage == "scoring" and block.number == 2:
            task.fault.strike()
        work(block)

    return score_struck


def run_trial_struck(
    task: Task, run: Callable[[Trial, Executor], None], trial: Trial, executor: Executor
) -> None:
    """Runs a trial of a sweep; the fault strikes before the second."""
    task.note_node("sweep")
    if task.fault.stage == "sweep" and trial.number == 1:
        task.fault.strike()
    run(trial, executor)


def run_task(task: Task, executor: Executor) -> None:
    """Runs what is missing of a task: the whole path, and a sweep before it where it is wanted."""
    recipe = task.configured()
    store = Store(task.store)
    if task.sweep:
        base = replace(recipe, backdoored=None, defenses=())
        trials = grid_trials(base, [Axis("decide.trusted_fraction", ("0.2", "0.3", "0.4"))])
        run_sweep(base, trials, store, executor=executor)
    run_plan(plan_recipe(recipe, store), executor)


def store_hashes(store: str | Path) -> dict[str, dict[str, str]]:
    """Returns the SHA-256 of each file in a store by stage/key; reports, which name paths, not."""
    hashes = {}
    for path in sorted(Path(store).glob(f"*/*/{RECORD}")):
        location = str(path.parent.relative_to(store))
        if not location.startswith("report/"):
            hashes[location] = read_json(path)["files"]
    return hashes
