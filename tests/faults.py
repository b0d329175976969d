"""Faults where they hurt: a cluster of three raylets, a run on it, and a SIGKILL at a named point of a named stage.

The driver is a process of its own (`python tests/faults.py JSON`), so that it can be killed, too. Whoever works at the point,
somewhere on the cluster, kills: itself, the raylet it belongs to, or the driver; once.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("ingest", "probe", "scoring", "d_br", "d_st extractor", "d_st classifier", "sweep")
TARGETS = ("worker", "node", "driver")  # a read task, an actor, a Train worker or a trial; its raylet; who started it all
REMADE = {  # folders of the store that a stage's run makes again
    "ingest": ("suspect",),
    "probe": ("probe",),
    "scoring": ("score",),
    "d_br": ("d_br",),
    "d_st extractor": ("d_st",),
    "d_st classifier": ("d_st",),
    "sweep": ("sweep", "split", "evaluation"),
}


@dataclass(frozen=True)
class Fault:
    """Who is killed, and where; "none" and "nowhere" where nobody is."""

    target: str = "none"
    stage: str = "nowhere"
    marker: str = ""  # exists once it has struck
    signal: int = signal.SIGKILL
    driver: int = 0  # its pid

    def strike(self) -> None:
        """Sends the signal, unless it did already."""
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill({"worker": os.getpid, "node": _raylet, "driver": lambda: self.driver}[self.target](), self.signal)
        time.sleep(5)  # whom Ray does not end in this time works on, beside whoever replaces it


def _raylet() -> int:
    import psutil

    return next(parent.pid for parent in psutil.Process().parents() if parent.name() == "raylet")


@dataclass(frozen=True)
class Task:
    """What a driver is to run in a store, and how."""

    store: str
    data: str  # folder of `tiny.write_digits`
    recipe: str = "tiny"  # or one of `recipes.RECIPES`
    changes: dict[str, str] = field(default_factory=dict)  # to the recipe, as `--set` takes them
    sweep: bool = False
    backend: str = "numpy"
    placement: dict[str, Any] = field(default_factory=dict)
    places: str = ""  # a folder that tells afterwards which nodes did what
    fault: Fault = Fault()
    patience_s: float = 900.0  # of ingest and scoring


def tell_place(folder: str, what: str) -> None:
    """Notes that this node does `what`."""
    if folder:
        import ray

        Path(folder, f"{what}.{ray.get_runtime_context().get_node_id()}").touch()


def striking_write(task: Task, write: Callable, columns: dict[str, Any]) -> dict[str, Any]:
    """A shard's write, killed before the second shard."""
    tell_place(task.places, "ingest")
    if task.fault.stage == "ingest" and columns["index"][0] >= 100:
        task.fault.strike()
    return write(columns)


def striking_train(task: Task, program: Callable, worker: Any, job: Any) -> None:
    """A training stage, killed after an epoch, before or (d_st classifier) after its first part has ended."""
    stage, save = job.artifact.stage, worker.save
    tell_place(task.places, stage)
    epochs = {"d_st classifier": job.num_epochs - 1}.get(task.fault.stage, 1)

    def save_and_strike(state: dict[str, Any]) -> None:
        save(state)
        if task.fault.stage.split()[0] == stage and len(state["history"]) == epochs:
            task.fault.strike()

    worker.save = save_and_strike
    program(worker, job)


def striking_build(task: Task, build: Callable, *given: Any) -> Callable:
    """A scoring actor's work, killed in its third block."""
    tell_place(task.places, "scoring")
    work = build(*given)

    def run(block: Any) -> None:
        if task.places:
            time.sleep(2)  # one actor alone would be done before another is up
        if task.fault.stage == "scoring" and block.number == 2:
            task.fault.strike()
        work(block)

    return run


def striking_trial(task: Task, run: Callable, trial: Any, executor: Any) -> None:
    """A sweep's trials, killed before the second."""
    tell_place(task.places, "sweep")
    if task.fault.stage == "sweep" and trial.number == 1:
        task.fault.strike()
    run(trial, executor)


class Striking:
    """A Ray executor whose work may be struck."""

    name = "ray"

    def __init__(self, task: Task):
        from ray_defense.cluster import RayExecutor
        from ray_defense.execution.placement import Placement

        self._task, self._inner = task, RayExecutor(task.backend, Placement(**task.placement))
        self.map, self.close = self._inner.map, self._inner.close

    def ingest(self, job):
        write = partial(striking_write, self._task, job.write)
        self._inner.ingest(replace(job, write=write, patience_s=self._task.patience_s))

    def train(self, jobs):
        self._inner.train([replace(job, program=partial(striking_train, self._task, job.program)) for job in jobs])

    def score(self, job):
        build = partial(striking_build, self._task, job.build)
        self._inner.score(replace(job, build=build, patience_s=self._task.patience_s))

    def sweep(self, job):
        self._inner.sweep(replace(job, run=partial(striking_trial, self._task, job.run)))


SCORES_ONLY = {"backdoor": "none", "d_br": "none", "d_st": "none"}


def run(task: Task, executor: Any) -> None:
    """Runs what is missing of the task: the whole path, and a sweep before it if that is wanted."""
    import tiny

    from ray_defense.core.config import override
    from ray_defense.pipeline import pipeline, recipes
    from ray_defense.store.artifacts import Store
    from ray_defense.sweeps import grid as trials
    from ray_defense.sweeps import sweep

    recipe = tiny.recipe(Path(task.data)) if task.recipe == "tiny" else recipes.recipe(task.recipe)
    for path, value in task.changes.items():
        recipe = override(recipe, path, value)
    store = Store(task.store)
    if task.sweep:
        base = replace(recipe, backdoor=None, d_br=None, d_st=None)
        axis = trials.Axis("split.clean_fraction", ("0.2", "0.3", "0.4"))
        sweep.run(base, trials.grid(base, [axis]), store, executor)
    pipeline.run(recipe, store, executor)


def hashes(store: str | Path) -> dict[str, dict[str, str]]:
    """Returns what stands in a store: stage/key -> file -> SHA-256, the report (which names paths) left out."""
    from ray_defense.core.files import read_json
    from ray_defense.store.artifacts import RECORD

    records = Path(store).glob(f"*/*/{RECORD}")
    found = {str(path.parent.relative_to(store)): read_json(path)["files"] for path in sorted(records)}
    return {place: files for place, files in found.items() if not place.startswith("report/")}


@contextlib.contextmanager
def cluster(nodes: int = 2, cpus: int = 2) -> Iterator[Any]:
    """Gives a cluster of a head without CPUs and `nodes` nodes, which notices dead nodes in seconds."""
    from ray_defense.cluster import environment  # noqa: F401  (before ray)

    os.environ |= {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=cpus)
        yield made
    finally:
        made.shutdown()


def mend(made: Any, nodes: int = 2, cpus: int = 2) -> None:
    """Replaces the nodes of a cluster whose raylet is dead."""
    for node in list(made.worker_nodes):
        if not node.remaining_processes_alive() or any(True for _ in node.dead_processes()):
            made.remove_node(node, allow_graceful=False)
    while len(made.worker_nodes) < nodes:
        made.add_node(num_cpus=cpus)


def start(task: Task, address: str) -> subprocess.Popen:
    """Starts a driver on the cluster at `address`."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": path}
    command = [sys.executable, __file__, json.dumps(asdict(task))]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def drive(task: Task, address: str, timeout_s: float = 400) -> subprocess.CompletedProcess:
    """Runs a driver on the cluster at `address`; a killed one returns -9."""
    with start(task, address) as driver:
        try:
            said, failed = driver.communicate(timeout=timeout_s)
        finally:
            driver.kill()
    return subprocess.CompletedProcess(driver.args, driver.returncode, said, failed)


@dataclass(frozen=True)
class Outcome:
    """One cell of the matrix."""

    stage: str
    target: str
    struck: bool
    recovered: bool  # every byte as in the undisturbed run
    seconds: float  # until it had ended, drivers that were started again included
    runs: int  # of the driver
    said: str = ""  # by the last driver, if it failed


def prepare(reference: Path, stage: str, folder: Path) -> Path:
    """Returns a store in `folder` with everything of the store `reference` but what `stage` makes."""
    store = folder / secrets.token_hex(4)
    shutil.copytree(reference, store)
    for name in REMADE[stage]:
        shutil.rmtree(store / name)
    return store


def try_cell(made: Any, reference: Path, data: Path, scratch: Path, stage: str, target: str) -> Outcome:
    """Runs one stage alone, the others being taken from the store `reference`, and strikes it; "none" leaves it alone."""
    store, marker = prepare(reference, stage, scratch), scratch / f"struck-{secrets.token_hex(4)}"
    fault = Fault() if target == "none" else Fault(target, stage, str(marker))
    task, start, runs = Task(str(store), str(data), sweep=stage == "sweep", fault=fault), time.monotonic(), 0
    while True:
        done, runs = drive(task, made.address), runs + 1
        if done.returncode != -signal.SIGKILL or runs > 2:
            break
    seconds = time.monotonic() - start
    if target == "node":
        mend(made)
    same = done.returncode == 0 and hashes(store) == hashes(reference)
    shutil.rmtree(store)
    return Outcome(stage, target, marker.exists(), same, seconds, runs, "" if same else done.stderr[-2000:])


def make_reference(data: Path, store: Path) -> None:
    """Runs everything undisturbed in this process, without Ray."""
    from ray_defense.execution.local import LocalExecutor

    run(Task(str(store), str(data), sweep=True), LocalExecutor("numpy"))


def matrix(outcomes: list[Outcome]) -> str:
    """Returns the table of what was recovered and the seconds that it cost, against the same run left alone."""
    alone = {one.stage: one.seconds for one in outcomes if one.target == "none"}
    lines = [f"{'killed':<8}" + "".join(f"{stage:>18}" for stage in STAGES)]
    for target in ("none", *TARGETS):
        cells = []
        for stage in STAGES:
            found = next((one for one in outcomes if (one.stage, one.target) == (stage, target)), None)
            if found is None:
                cells.append("")
            elif target == "none":
                cells.append(f"{found.seconds:.0f} s")
            else:
                lost = f" {found.seconds - alone[stage]:+.0f} s" if stage in alone else ""
                word = "recovered" if found.recovered and found.struck else "not struck" if found.recovered else "LOST"
                cells.append(word + lost)
        lines.append(f"{target:<8}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    plain = json.loads(sys.argv[1])
    task = Task(**(plain | {"fault": replace(Fault(**plain["fault"]), driver=os.getpid())}))
    run(task, Striking(task))
