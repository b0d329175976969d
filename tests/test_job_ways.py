"""Jobs on a local Ray, on a running cluster and submitted to it: the same bytes, honest exit codes, resumable."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SHORT = ("digits_badnets", "--backend", "numpy", "--set", "probe.epochs=1", "--set", "probe.intra_epochs=1")
JOB = ("python", "jobs/score.py")
PATIENCE_S = 500  # on a quiet machine nothing here takes a tenth of it
SENT_VERSION = "0+sent"
DECOYS = (".venv/lib/module.py", "store/suspect/key/note.txt", "store-other/note.txt", "results/scores.parquet")


def environment(**variables: str) -> dict[str, str]:
    """Returns this process's variables without Ray's own, with those given."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return plain | {"PATH": f"{BIN}:{plain.get('PATH', '')}"} | variables


def call(*command: object, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess:
    argv = [str(part) for part in command]
    return subprocess.run(argv, cwd=cwd, env=environment(**variables), capture_output=True, text=True, timeout=PATIENCE_S)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def end(process: subprocess.Popen) -> None:
    """Kills a process and what it started, if it still runs."""
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for one in (process, *below):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def until(happened: Callable[[], bool], process: subprocess.Popen, what: str) -> None:
    """Waits for what a process is to bring about."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, f"it ended with {process.returncode} before {what}"
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Cluster:
    """A head of its own with two CPUs, and the variables that let a client in."""

    folder: Path
    address: str
    dashboard: str
    variables: dict[str, str]

    def answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(self.get("/api/version"))
        return False

    def get(self, path: str) -> dict:
        token = Path(self.variables["RAY_AUTH_TOKEN_PATH"]).read_text()
        request = urllib.request.Request(self.dashboard + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def submit(self, folder: Path, *command: object) -> subprocess.CompletedProcess:
        """Runs `ray job submit` and follows the job."""
        submit = ("ray", "job", "submit", "--address", self.dashboard, "--working-dir", ".", "--")
        return call(*submit, *command, cwd=folder, **self.variables)

    def packages(self) -> list[Path]:
        """Returns the working directories that jobs came with, as they stand on the node."""
        return list(self.folder.glob("session_2*/runtime_resources/working_dir_files/*/"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))  # short: sockets stand below it
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
    port, dashboard, agent, client = free_ports(4)
    start = f"ray start --head --block --num-cpus=2 --port={port} --dashboard-host=127.0.0.1 --dashboard-port={dashboard} "
    start += f"--dashboard-agent-listen-port={agent} --ray-client-server-port={client} --temp-dir={folder}"
    made = Cluster(folder, f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", variables)
    with open(folder / "head.log", "w") as log:
        head = subprocess.Popen(start.split(), env=environment(**variables), stdout=log, stderr=log)
    try:
        until(made.answers, head, f"the dashboard answered, see {folder}")
        yield made
    finally:
        end(head)  # `ray stop` would end every Ray of this machine
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a job is submitted from, with an environment and results that are not to be sent."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", "ray_defense"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".rayignore", root)
    (root / "ray_defense/core/version.py").write_text(f'VERSION = "{SENT_VERSION}"\n')  # tells it from the installed one
    for decoy in DECOYS:
        (root / decoy).parent.mkdir(parents=True, exist_ok=True)
        (root / decoy).write_text("not to be sent")
    return root


@dataclass(frozen=True)
class Way:
    """How a job ended, and where its artifacts are."""

    done: subprocess.CompletedProcess
    store: Path

    def hashes(self, stage: str) -> dict[str, str]:
        (record,) = self.store.glob(f"{stage}/*/config.json")
        return json.loads(record.read_text())["files"]


@pytest.fixture(scope="module")
def ways(cluster: Cluster, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Way]:
    """The same job three ways at once: each waits for processes to start more than it computes."""
    stores = {name: tmp_path_factory.mktemp(name) for name in ("local", "address", "submitted")}
    job = {name: (*JOB, *SHORT, "--store", store) for name, store in stores.items()}
    with ThreadPoolExecutor(3) as pool:
        started = {
            "local": pool.submit(call, *job["local"]),
            "address": pool.submit(call, *job["address"], RAY_ADDRESS=cluster.address, **cluster.variables),
            "submitted": pool.submit(cluster.submit, checkout, *job["submitted"]),
        }
        return {name: Way(future.result(), stores[name]) for name, future in started.items()}


@pytest.mark.parametrize("name", ["local", "address", "submitted"])
def test_a_job_that_is_done_ends_with_0_and_says_where_its_result_is(name, ways):
    way = ways[name]
    assert way.done.returncode == 0, way.done.stdout + way.done.stderr
    assert f"result.json: {way.store}/result.json\n" in way.done.stdout


def test_the_three_ways_give_the_same_bytes(ways):
    local, *others = ways.values()
    assert set(local.hashes("score")) == {"scores.parquet"}
    for stage in ("probe", "score", "split"):
        assert all(other.hashes(stage) == local.hashes(stage) for other in others)


def test_a_submitted_job_runs_the_code_that_came_with_it_and_takes_no_results_along(ways, cluster, checkout):
    (package,) = cluster.packages()
    for stage in ("probe", "score"):  # a worker's process, and the job's own
        (timing,) = ways["submitted"].store.glob(f"{stage}/*/timing.json")
        assert json.loads(timing.read_text())["versions"]["ray_defense"] == SENT_VERSION
    sent = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    here = {str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()}
    assert here - sent == set(DECOYS) and sent <= here


def test_a_refused_job_is_a_1_for_who_submits_it_and_a_2_in_its_details(cluster, checkout):
    done = cluster.submit(checkout, *JOB, "digits_badnet")
    assert done.returncode == 1 and "did you mean 'digits_badnets'?" in done.stdout
    assert "failed with exit code 2" in done.stdout + done.stderr
    (name,) = set(re.findall(r"raysubmit_\w+", done.stdout + done.stderr))
    assert cluster.get(f"/api/jobs/{name}")["driver_exit_code"] == 2


def test_a_job_whose_training_diverges_ends_with_3(tmp_path):
    done = call(*JOB, *SHORT, "--set", "probe.sgd.learning_rate=1e30", "--executor", "local", "--store", tmp_path)
    assert done.returncode == 3 and "lower the learning rate" in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("probe/*/config.json"))


@contextlib.contextmanager
def started(*command: object) -> Iterator[subprocess.Popen]:
    """Runs a command beside the body; what the body leaves of it and of its children is killed."""
    argv = [str(part) for part in command]
    process = subprocess.Popen(argv, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        end(process)


@pytest.mark.chaos
@pytest.mark.long
def test_a_job_ended_by_sigterm_and_by_ctrl_c_ends_with_the_bytes_of_an_undisturbed_one(tmp_path):
    sets = ["backdoor.epochs=4", "backdoor.milestones=2", "probe.epochs=4", "probe.intra_epochs=1", "d_br=none", "d_st=none"]
    job = ["python", "jobs/pipeline.py", "digits_badnets", "--backend", "numpy", *(f"--set={one}" for one in sets), "--store"]
    for number, stage, code in ((signal.SIGTERM, "probe", 143), (signal.SIGINT, "backdoored", 130)):
        with started(*job, tmp_path / "ray") as running:
            until(partial(trained, tmp_path / "ray" / stage), running, f"a checkpoint of {stage}")
            running.send_signal(number)
            said = running.communicate(timeout=PATIENCE_S)[1]
        assert running.returncode == code and "the same command resumes" in said
        assert not list(tmp_path.glob("ray/score/*/config.json"))  # a worker may end its stage before it is ended itself
    resumed = Way(call(*job, tmp_path / "ray"), tmp_path / "ray")
    assert resumed.done.returncode == 0, resumed.done.stderr
    undisturbed = Way(call(*job, tmp_path / "local", "--executor", "local"), tmp_path / "local")
    for stage in ("suspect", "probe", "score", "split", "backdoored"):
        assert resumed.hashes(stage) == undisturbed.hashes(stage)


def trained(folder: Path) -> bool:
    """Whether an epoch of a stage is over."""
    return any(folder.glob("*.work/scratch/checkpoint.pt"))
