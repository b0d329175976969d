"""A process that hangs is reported or replaced, and no row is left out or written twice.

Row 3 of the faults: a worker that is stopped (SIGSTOP) or slow. The policy itself is tested without
Ray in `tests/cluster/test_patience.py`.
"""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_driver import run_driver
from tests.support.fault_matrix import copy_without
from tests.support.faults import Fault, Task, store_hashes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize(
    ("stage", "message"),
    [("ingest", "nothing of ingest was finished in 20 s"), ("scoring", "an actor hangs")],
)
def test_row_fault_03_a_hanging_process_is_reported_and_leaves_no_row_out_or_twice(
    cluster: Any, reference: Path, digits: Path, tmp_path: Path, stage: str, message: str
) -> None:
    store = copy_without(reference, stage, tmp_path)
    fault = Fault("worker", stage, str(tmp_path / "struck"), signal.SIGSTOP)
    task = Task(str(store), str(digits), fault=fault, patience_s=20)
    stopped = run_driver(task, cluster.address)
    assert stopped.returncode == 1
    assert message in stopped.stderr
    assert run_driver(task, cluster.address).returncode == 0
    assert store_hashes(store) == store_hashes(reference)


def test_a_hanging_train_worker_is_replaced(
    cluster: Any,
    reference: Path,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "15")
    store = copy_without(reference, "probe", tmp_path)
    fault = Fault("worker", "probe", str(tmp_path / "struck"), signal.SIGSTOP)
    finished = run_driver(Task(str(store), str(digits), fault=fault), cluster.address)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "struck").exists()
    assert store_hashes(store) == store_hashes(reference)
