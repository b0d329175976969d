"""The driver of a task as a process of its own, so that it can be killed, too.

`python -m tests.support.fault_driver JSON` runs a task whose fields the JSON holds.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from tests.support.faults import Fault, StrikingExecutor, Task, run_task

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL  # the exit code of a driver that was killed


def start_driver(task: Task, address: str) -> "subprocess.Popen[str]":
    """Starts a driver on the cluster at `address`."""
    environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.support.fault_driver", json.dumps(asdict(task))]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def run_driver(
    task: Task, address: str, timeout_s: float = 400
) -> "subprocess.CompletedProcess[str]":
    """Runs a driver on the cluster at `address`; a killed one returns KILLED."""
    with start_driver(task, address) as driver:
        try:
            output, errors = driver.communicate(timeout=timeout_s)
        finally:
            driver.kill()
    return subprocess.CompletedProcess(driver.args, driver.returncode, output, errors)


def main() -> None:
    """Runs the task that the command line describes."""
    plain = json.loads(sys.argv[1])
    fault = replace(Fault(**plain.pop("fault")), driver=os.getpid())
    task = Task(**plain, fault=fault)
    executor = StrikingExecutor(task)
    run_task(task, executor)


if __name__ == "__main__":
    main()
