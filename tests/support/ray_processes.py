"""Commands, and nodes of Ray, as processes of their own with an environment of their own."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE_S = 500  # on a quiet machine nothing takes a tenth of it


def clean_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns this process's variables without Ray's own, with `variables` added."""
    environment = {}
    for name, value in os.environ.items():
        if not name.startswith("RAY_"):
            environment[name] = value
    environment["PATH"] = f"{BIN}:{environment.get('PATH', '')}"
    return {**environment, **(variables or {})}


def call_command(
    *command: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a command with `variables` in its environment."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def free_ports(count: int) -> list[int]:
    """Returns ports that nothing listens on."""
    ports = []
    with contextlib.ExitStack() as held:
        for _ in range(count):
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    return ports


def kill_tree(process: "subprocess.Popen[str]") -> None:
    """Kills a process and what it started, if it still runs."""
    processes: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        if process.poll() is None:
            processes = [parent, *parent.children(recursive=True)]
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[str]", event: str) -> None:
    """Waits for an event that a process is to bring about."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, f"it ended with {process.returncode} before {event}"
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {event}"
        time.sleep(0.1)


def token_variables(folder: Path) -> dict[str, str]:
    """Returns the variables of a cluster with a token of its own, whose file is in `folder`."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
