"""A store that a node of the cluster does not see is refused at once, by the node's name."""

import contextlib
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest
from test_job_ways import call, environment, free_ports, until

pytestmark = pytest.mark.ray

CHECK = """
import sys
from pathlib import Path
import ray_defense.cluster
from ray_defense.core.errors import RayDefenseError
executor = ray_defense.cluster.RayExecutor("numpy")
for store in sys.argv[1:]:
    try:
        executor.check_store(Path(store))
        print("seen")
    except RayDefenseError as error:
        print(type(error).__name__, error)
"""


@dataclass(frozen=True)
class Two:
    """A head without CPUs, a node called `far` with two, and the variables that let a driver in."""

    folder: Path
    variables: dict[str, str]

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name


def start(folder: Path, name: str, variables: dict[str, str], *options: str, first: str = "true") -> subprocess.Popen:
    """Starts a node in a process and a mount namespace of its own, where `first` is run before it."""
    agent, metrics = free_ports(2)
    (folder / name).mkdir()
    ports = f"--dashboard-agent-listen-port={agent} --metrics-export-port={metrics} --min-worker-port=0 --max-worker-port=0"
    node = f"exec ray start --block --node-name={name} --temp-dir={folder / name} {ports} {' '.join(options)}"
    with open(folder / f"{name}.log", "w") as log:
        command = ["unshare", "-m", "sh", "-c", f"{first} && {node}"]
        return subprocess.Popen(command, env=environment(**variables), stdout=log, stderr=log)


def is_up(log: Path) -> bool:
    return "Ray runtime started" in log.read_text()


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    allowed = ["unshare", "-m", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    if shutil.which("unshare") is None or subprocess.run(allowed, capture_output=True).returncode:
        pytest.skip("hiding a directory from a node needs the right to mount")
    folder = Path(tempfile.mkdtemp(prefix="rv", dir="/tmp"))  # short: sockets stand below it
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
    port, client, dashboard = free_ports(3)
    address = f"127.0.0.1:{port}"
    made = Two(folder, variables | {"RAY_ADDRESS": address})
    for name in ("hidden", "read-only", "shared"):
        made.store(name).mkdir(parents=True)
    hide = f"mount -t tmpfs none {made.store('hidden')} && mount --bind {made.store('read-only')} {made.store('read-only')}"
    hide += f" && mount -o remount,ro,bind {made.store('read-only')}"
    ports = (f"--port={port}", f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}")
    nodes = []
    try:
        nodes.append(start(folder, "head", variables, "--head", "--num-cpus=0", "--node-ip-address=127.0.0.1", *ports))
        until(partial(is_up, folder / "head.log"), nodes[0], f"the head is up, see {folder}")
        nodes.append(start(folder, "far", variables, f"--address={address}", "--num-cpus=2", first=hide))
        until(partial(is_up, folder / "far.log"), nodes[1], f"the other node is up, see {folder}")
        yield made
    finally:
        for node in nodes:
            below = psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []
            for process in (node, *below):  # `ray stop` would end every Ray of this machine
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_node_that_does_not_see_or_cannot_write_the_store_is_named_and_nothing_is_left(two):
    stores = [two.store(name) for name in ("shared", "hidden", "read-only", "shared")]
    done = call(sys.executable, "-c", CHECK, *stores, **two.variables)
    assert done.returncode == 0, done.stderr[-2000:]
    seen, hidden, read_only, again = done.stdout.splitlines()
    remedy = ": put the store on a disk that all nodes mount there (--store, or RAY_DEFENSE_CACHE where the store is a URI)"
    assert seen == again == "seen"
    assert hidden == f"Refused the node far does not see {two.store('hidden')}{remedy}"
    assert read_only == f"Refused the node far cannot write (Read-only file system) in {two.store('read-only')}{remedy}"
    assert not any(list(store.iterdir()) for store in stores)


def test_a_run_whose_store_a_node_does_not_see_ends_with_2_and_one_line(two):
    store = two.store("hidden")
    done = call(sys.executable, "-m", "ray_defense", "run", "digits_badnets", "--quiet", "--store", store, **two.variables)
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stderr.count("\n") == 1 and f"the node far does not see {store}" in done.stderr
    assert not list(store.iterdir())  # nothing was begun
