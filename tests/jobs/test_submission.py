"""Jobs on a local Ray, on a running cluster and submitted to it: equal bytes, honest exit codes."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.ray_processes import (
    PATIENCE_S,
    ROOT,
    call_command,
    clean_environment,
    free_ports,
    kill_tree,
    token_variables,
    wait_until,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

Process = subprocess.CompletedProcess[str]

SHORT = ("digits_badnets", "--backend", "numpy")
SHORT_PROBE = ("--set", "probe.epochs=1", "--set", "probe.intra_epochs=1")
JOB = ("python", "jobs/detect.py")
SENT_VERSION = "0+sent"
DECOYS = (
    ".venv/lib/module.py",
    "store/ingest/key/note.txt",
    "store-other/note.txt",
    "results/evidence.parquet",
)


@dataclass(frozen=True)
class JobCluster:
    """A head of its own with two CPUs, and the variables that let a client in."""

    folder: Path
    address: str
    dashboard: str
    variables: dict[str, str]

    def answers(self) -> bool:
        """Returns whether the dashboard is up."""
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(self.get("/api/version"))
        return False

    def get(self, path: str) -> dict[str, Any]:
        """Returns what the dashboard answers to a request."""
        token = Path(self.variables["RAY_AUTH_TOKEN_PATH"]).read_text()
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.dashboard + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def submit(self, folder: Path, *command: object) -> Process:
        """Runs `ray job submit` in a folder and follows the job."""
        submit = ("ray", "job", "submit", "--address", self.dashboard, "--working-dir", ".", "--")
        return call_command(*submit, *command, cwd=folder, variables=self.variables)

    def packages(self) -> list[Path]:
        """Returns the working directories that jobs came with, as they stand on the node."""
        return list(self.folder.glob("session_2*/runtime_resources/working_dir_files/*/"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[JobCluster]:
    folder = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))  # short: sockets stand below it
    variables = token_variables(folder)
    port, dashboard_port, agent_port, client_port = free_ports(4)
    command = [
        "ray",
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        f"--port={port}",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard_port}",
        f"--dashboard-agent-listen-port={agent_port}",
        f"--ray-client-server-port={client_port}",
        f"--temp-dir={folder}",
    ]
    address = f"127.0.0.1:{port}"
    dashboard = f"http://127.0.0.1:{dashboard_port}"
    started = JobCluster(folder, address, dashboard, variables)
    with open(folder / "head.log", "w") as log:
        head = subprocess.Popen(
            command, env=clean_environment(variables), stdout=log, stderr=log, text=True
        )
    try:
        wait_until(started.answers, head, f"the dashboard answered, see {folder}")
        yield started
    finally:
        kill_tree(head)  # `ray stop` would end every Ray of this machine
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a job is submitted from, with files beside it that are not to be sent."""
    root = tmp_path_factory.mktemp("checkout")
    without_bytecode = shutil.ignore_patterns("__pycache__")
    for name in ("jobs", "ray_defense"):
        shutil.copytree(ROOT / name, root / name, ignore=without_bytecode)
    shutil.copy(ROOT / ".rayignore", root)
    # The version tells the code that is sent from the installed one.
    (root / "ray_defense/core/version.py").write_text(f'VERSION = "{SENT_VERSION}"\n')
    for decoy in DECOYS:
        (root / decoy).parent.mkdir(parents=True, exist_ok=True)
        (root / decoy).write_text("not to be sent")
    return root


@dataclass(frozen=True)
class FinishedJob:
    """How a job ended, and where its artifacts are."""

    process: Process
    store: Path

    def hashes(self, stage: str) -> dict[str, str]:
        """Returns the content hashes of the one artifact of a stage."""
        (record,) = self.store.glob(f"{stage}/*/config.json")
        hashes: dict[str, str] = json.loads(record.read_text())["files"]
        return hashes


def job_with_store(store: Path) -> tuple[object, ...]:
    """Returns the command of a short job."""
    return (*JOB, *SHORT, *SHORT_PROBE, "--store", store)


@pytest.fixture(scope="module")
def in_process_job(tmp_path_factory: pytest.TempPathFactory) -> FinishedJob:
    """The job without Ray."""
    store = tmp_path_factory.mktemp("in_process")
    return FinishedJob(call_command(*job_with_store(store), "--executor", "local"), store)


@pytest.fixture(scope="module")
def submitted_job(
    cluster: JobCluster, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> FinishedJob:
    """The job, submitted to the cluster."""
    store = tmp_path_factory.mktemp("submitted")
    return FinishedJob(cluster.submit(checkout, *job_with_store(store)), store)


@pytest.fixture(scope="module")
def connected_jobs(
    cluster: JobCluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, FinishedJob]:
    """The job on a Ray of its own and on the running cluster, at once: each waits much."""
    variables: dict[str, dict[str, str]] = {
        "local": {},
        "address": {"RAY_ADDRESS": cluster.address, **cluster.variables},
    }
    stores = {name: tmp_path_factory.mktemp(name) for name in variables}
    processes = {}
    with ThreadPoolExecutor(len(variables)) as pool:
        for name, store in stores.items():
            job = job_with_store(store)
            processes[name] = pool.submit(call_command, *job, variables=variables[name])
        return {name: FinishedJob(processes[name].result(), stores[name]) for name in stores}


def check_finished(job: FinishedJob) -> None:
    """Asserts that a job ended with 0 and says where its result is."""
    assert job.process.returncode == 0, job.process.stdout + job.process.stderr
    assert f"evidence.parquet: {job.store}/evidence/" in job.process.stdout


def check_same_bytes(job: FinishedJob, other: FinishedJob) -> None:
    """Asserts that two jobs made the same scores, from the same probe, and the same split."""
    assert set(job.hashes("evidence")) == {"evidence.parquet"}
    for stage in ("probe", "evidence", "split"):
        assert other.hashes(stage) == job.hashes(stage)


def test_a_submitted_job_ends_with_0_and_says_where_its_result_is(
    submitted_job: FinishedJob,
) -> None:
    check_finished(submitted_job)


def test_a_submitted_job_gives_the_bytes_of_one_process(
    submitted_job: FinishedJob, in_process_job: FinishedJob
) -> None:
    check_finished(in_process_job)
    check_same_bytes(submitted_job, in_process_job)


@pytest.mark.long
@pytest.mark.parametrize("name", ["local", "address"])
def test_a_job_on_a_ray_of_its_own_or_on_a_running_cluster_gives_the_bytes_of_a_submitted_one(
    name: str, connected_jobs: dict[str, FinishedJob], submitted_job: FinishedJob
) -> None:
    check_finished(connected_jobs[name])
    check_same_bytes(connected_jobs[name], submitted_job)


def relative_files(folder: Path) -> set[str]:
    """Returns the files below a folder, without byte code."""
    files = set()
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            files.add(str(path.relative_to(folder)))
    return files


def test_a_submitted_job_runs_the_code_that_came_with_it_and_takes_no_results_along(
    submitted_job: FinishedJob, cluster: JobCluster, checkout: Path
) -> None:
    (package,) = cluster.packages()
    for stage in ("probe", "evidence"):  # a worker's process, and the job's own
        (timing,) = submitted_job.store.glob(f"{stage}/*/timing.json")
        assert json.loads(timing.read_text())["versions"]["ray_defense"] == SENT_VERSION
    sent = relative_files(package)
    in_checkout = relative_files(checkout)
    assert in_checkout - sent == set(DECOYS)
    assert sent <= in_checkout


def test_a_refused_job_ends_its_submission_with_1_and_has_a_2_in_its_details(
    cluster: JobCluster, checkout: Path
) -> None:
    process = cluster.submit(checkout, *JOB, "digits_badnet")
    output = process.stdout + process.stderr
    assert process.returncode == 1
    assert "did you mean 'digits_badnets'?" in process.stdout
    assert "failed with exit code 2" in output
    (name,) = set(re.findall(r"raysubmit_\w+", output))
    assert cluster.get(f"/api/jobs/{name}")["driver_exit_code"] == 2


def test_a_job_whose_training_diverges_ends_with_3(tmp_path: Path) -> None:
    """Row 5 of the faults: a loss that is no number stops the stage with a clear error."""
    diverging = ("--set", "probe.sgd.learning_rate=1e30", "--executor", "local", "--quiet")
    process = call_command(*JOB, *SHORT, *SHORT_PROBE, *diverging, "--store", tmp_path)
    assert process.returncode == 3
    assert "lower the learning rate" in process.stderr
    assert process.stderr.count("\n") == 1
    assert not list(tmp_path.glob("probe/*/config.json"))


@contextlib.contextmanager
def started_command(*command: object) -> Iterator["subprocess.Popen[str]"]:
    """Runs a command beside the body; what the body leaves of it and of its children is killed."""
    argv = [str(part) for part in command]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        kill_tree(process)


def has_checkpoint(folder: Path) -> bool:
    """Returns whether an epoch of a stage is over."""
    return any(folder.glob("*.work/scratch/checkpoint.sealed"))


@pytest.mark.chaos
@pytest.mark.long
def test_a_job_ended_by_sigterm_and_by_ctrl_c_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    """Row 6 of the faults: Ctrl-C, and SIGTERM as before a preemption."""
    job = ["python", "jobs/pipeline.py", *SHORT]
    for assignment in (
        "backdoored.epochs=4",
        "backdoored.milestones=2",
        "probe.epochs=4",
        "probe.intra_epochs=1",
        "defenses=none",
    ):
        job.append(f"--set={assignment}")
    job.append("--store")
    store = tmp_path / "ray"
    for number, stage, code in (
        (signal.SIGTERM, "probe", 143),
        (signal.SIGINT, "backdoored", 130),
    ):
        with started_command(*job, store) as running:
            event = partial(has_checkpoint, store / stage)
            wait_until(event, running, f"a checkpoint of {stage}")
            running.send_signal(number)
            errors = running.communicate(timeout=PATIENCE_S)[1]
        assert running.returncode == code
        assert "the same command resumes" in errors
        # A worker may end its stage before it is ended itself.
        assert not list(store.glob("evidence/*/config.json"))
    resumed = FinishedJob(call_command(*job, store), store)
    assert resumed.process.returncode == 0, resumed.process.stderr
    local_store = tmp_path / "local"
    process = call_command(*job, local_store, "--executor", "local")
    undisturbed = FinishedJob(process, local_store)
    for stage in ("ingest", "probe", "evidence", "split", "backdoored"):
        assert resumed.hashes(stage) == undisturbed.hashes(stage)
