"""A store that a node of the cluster does not see is refused at once, by the node's name."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.ray_processes import (
    call_command,
    clean_environment,
    free_ports,
    kill_tree,
    token_variables,
    wait_until,
)

pytestmark = pytest.mark.ray

CHECK = """
import sys
from pathlib import Path
from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import RayDefenseError
executor = start_executor("numpy")
for store in sys.argv[1:]:
    try:
        executor.check_store(Path(store))
        print("seen")
    except RayDefenseError as error:
        print(type(error).__name__, error)
"""


@dataclass(frozen=True)
class TwoNodes:
    """A head without CPUs, a node `far` with two, and the variables that let a driver in."""

    folder: Path
    variables: dict[str, str]

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name


def start_node(
    folder: Path, name: str, variables: dict[str, str], *options: str, first: str = "true"
) -> "subprocess.Popen[str]":
    """Starts a node in a process and a mount namespace of its own.

    Args:
        folder: Where its log and its files are.
        name: Of the node.
        variables: Of its environment.
        *options: Of `ray start`.
        first: A command that is run in the namespace before the node.
    """
    agent_port, metrics_port = free_ports(2)
    (folder / name).mkdir()
    node = [
        "exec ray start --block",
        f"--node-name={name}",
        f"--temp-dir={folder / name}",
        f"--dashboard-agent-listen-port={agent_port}",
        f"--metrics-export-port={metrics_port}",
        "--min-worker-port=0",
        "--max-worker-port=0",
        *options,
    ]
    command = ["unshare", "-m", "sh", "-c", f"{first} && {' '.join(node)}"]
    with open(folder / f"{name}.log", "w") as log:
        return subprocess.Popen(
            command, env=clean_environment(variables), stdout=log, stderr=log, text=True
        )


def is_up(log: Path) -> bool:
    return "Ray runtime started" in log.read_text()


def may_mount() -> bool:
    """Returns whether this user may mount a directory in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    return subprocess.run(mount, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    if not may_mount():
        pytest.skip("hiding a directory from a node needs the right to mount")
    folder = Path(tempfile.mkdtemp(prefix="rv", dir="/tmp"))  # short: sockets stand below it
    variables = token_variables(folder)
    port, client_port, dashboard_port = free_ports(3)
    address = f"127.0.0.1:{port}"
    two = TwoNodes(folder, {**variables, "RAY_ADDRESS": address})
    for name in ("hidden", "read-only", "shared"):
        two.store(name).mkdir(parents=True)
    hidden = two.store("hidden")
    read_only = two.store("read-only")
    hide = (
        f"mount -t tmpfs none {hidden} && mount --bind {read_only} {read_only} "
        f"&& mount -o remount,ro,bind {read_only}"
    )
    head_options = [
        "--head",
        "--num-cpus=0",
        "--node-ip-address=127.0.0.1",
        f"--port={port}",
        f"--ray-client-server-port={client_port}",
        f"--dashboard-port={dashboard_port}",
    ]
    far_options = [f"--address={address}", "--num-cpus=2"]
    nodes = []
    try:
        nodes.append(start_node(folder, "head", variables, *head_options))
        up = partial(is_up, folder / "head.log")
        wait_until(up, nodes[0], f"the head is up, see {folder}")
        nodes.append(start_node(folder, "far", variables, *far_options, first=hide))
        up = partial(is_up, folder / "far.log")
        wait_until(up, nodes[1], f"the other node is up, see {folder}")
        yield two
    finally:
        for node in nodes:
            kill_tree(node)  # `ray stop` would end every Ray of this machine
        shutil.rmtree(folder, ignore_errors=True)


def test_a_node_that_does_not_see_or_cannot_write_the_store_is_named_and_nothing_is_left(
    two_nodes: TwoNodes,
) -> None:
    stores = [two_nodes.store(name) for name in ("shared", "hidden", "read-only", "shared")]
    finished = call_command(sys.executable, "-c", CHECK, *stores, variables=two_nodes.variables)
    assert finished.returncode == 0, finished.stderr[-2000:]
    seen, hidden, read_only, seen_again = finished.stdout.splitlines()
    remedy = (
        ": put the store on a disk that all nodes mount there "
        "(--store, or RAY_DEFENSE_CACHE where the store is a URI)"
    )
    assert seen == "seen"
    assert seen_again == "seen"
    hidden_store = two_nodes.store("hidden")
    assert hidden == f"InputError the node far does not see {hidden_store}{remedy}"
    reason = "cannot write (Read-only file system) in"
    read_only_store = two_nodes.store("read-only")
    assert read_only == f"InputError the node far {reason} {read_only_store}{remedy}"
    for store in stores:
        assert list(store.iterdir()) == []


def test_a_run_whose_store_a_node_does_not_see_ends_with_2_and_one_line(
    two_nodes: TwoNodes,
) -> None:
    store = two_nodes.store("hidden")
    command = ["-m", "ray_defense", "run", "digits_badnets", "--quiet", "--store", store]
    finished = call_command(sys.executable, *command, variables=two_nodes.variables)
    assert finished.returncode == 2, finished.stderr[-2000:]
    assert finished.stderr.count("\n") == 1
    assert f"the node far does not see {store}" in finished.stderr
    assert list(store.iterdir()) == []  # nothing was begun
