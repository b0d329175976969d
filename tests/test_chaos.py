"""Faults: whoever happens to die, hang or run out of disk, the run ends with the bytes of one left alone.

The default run strikes a few times, `./run.sh test chaos` every process at every stage; the matrix is printed at the end.
"""

import contextlib
import errno
import os
import signal
import subprocess
from dataclasses import replace

import faults
import pytest
from conftest import CHAOS

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(900)]
SHORT = {("scoring", "node")}


@pytest.fixture(scope="module")
def cluster():
    with faults.cluster() as made:
        yield made


@pytest.fixture(scope="module")
def reference(digits, tmp_path_factory):
    store = tmp_path_factory.mktemp("reference") / "store"
    faults.make_reference(digits, store)
    return store


@pytest.fixture(scope="module")
def outcomes(request):
    found = []
    yield found
    request.config.stash.setdefault(CHAOS, []).append(faults.matrix(found))


CELLS = [
    pytest.param(stage, target, marks=[] if (stage, target) in SHORT else [pytest.mark.long], id=f"{target} at {stage}")
    for stage in faults.STAGES
    for target in ("none", *faults.TARGETS)
]


@pytest.mark.parametrize(("stage", "target"), CELLS)
def test_a_killed_process_changes_no_byte(cluster, reference, digits, outcomes, tmp_path, stage, target):
    outcome = faults.try_cell(cluster, reference, digits, tmp_path, stage, target)
    outcomes.append(outcome)
    assert outcome.recovered, outcome.said
    assert outcome.struck == (target != "none") and outcome.runs == 1 + (target == "driver")


@pytest.mark.long
def test_a_run_killed_while_scoring_goes_on_with_more_actors(cluster, reference, digits, tmp_path):
    store = faults.prepare(reference, "scoring", tmp_path)
    fault = faults.Fault("driver", "scoring", str(tmp_path / "struck"))
    task = faults.Task(str(store), str(digits), placement={"actors": 1}, fault=fault)
    assert faults.drive(task, cluster.address).returncode == -signal.SIGKILL
    parts = list(store.glob("score/*.work/scratch/block-*.parquet"))
    assert 0 < len(parts) < 6
    assert faults.drive(replace(task, placement={"actors": 4}), cluster.address).returncode == 0
    assert faults.hashes(store) == faults.hashes(reference)


@pytest.mark.long
@pytest.mark.parametrize(("stage", "said"), [("ingest", "no shard was written in 20 s"), ("scoring", "an actor hangs")])
def test_a_hanging_process_is_reported_and_leaves_no_row_out_or_twice(cluster, reference, digits, tmp_path, stage, said):
    store = faults.prepare(reference, stage, tmp_path)
    fault = faults.Fault("worker", stage, str(tmp_path / "struck"), signal.SIGSTOP)
    task = faults.Task(str(store), str(digits), fault=fault, patience_s=20)
    stopped = faults.drive(task, cluster.address)
    assert stopped.returncode == 1 and said in stopped.stderr
    assert faults.drive(task, cluster.address).returncode == 0
    assert faults.hashes(store) == faults.hashes(reference)


@pytest.mark.long
def test_a_hanging_train_worker_is_replaced(cluster, reference, digits, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "15")
    store = faults.prepare(reference, "probe", tmp_path)
    fault = faults.Fault("worker", "probe", str(tmp_path / "struck"), signal.SIGSTOP)
    done = faults.drive(faults.Task(str(store), str(digits), fault=fault), cluster.address)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "struck").exists() and faults.hashes(store) == faults.hashes(reference)


@pytest.mark.long
@pytest.mark.parametrize("stage", ["ingest", "probe", "scoring"])
def test_a_stage_waits_for_a_node_where_none_is_up(reference, digits, tmp_path, stage):
    store = faults.prepare(reference, stage, tmp_path)
    with faults.cluster(nodes=0) as alone:
        with faults.start(faults.Task(str(store), str(digits)), alone.address) as driver:
            with pytest.raises(subprocess.TimeoutExpired):
                driver.communicate(timeout=30)
            alone.add_node(num_cpus=2)
            said = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, said
    assert faults.hashes(store) == faults.hashes(reference)


@pytest.mark.long
def test_two_drivers_of_one_run_on_one_store_both_end(cluster, reference, digits, tmp_path):
    store = faults.prepare(reference, "probe", tmp_path)
    drivers = [faults.start(faults.Task(str(store), str(digits)), cluster.address) for _ in range(2)]
    said = [driver.communicate(timeout=400)[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert faults.hashes(store) == faults.hashes(reference)


@contextlib.contextmanager
def disk(folder, size_kib: int):
    """Mounts a disk of that size at `folder` and gives a function that mounts it anew with other options."""

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)

    try:
        mount("-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.long
def test_a_disk_that_is_full_again_and_again_costs_no_byte(reference, digits, tmp_path):
    """The disk grows a little whenever the run has stopped for want of space, so that it stops at many a write."""
    from ray_defense.execution.local import LocalExecutor

    folder, size, stops = tmp_path / "disk", 32, 0
    folder.mkdir()
    with disk(folder, size) as mount:
        task = faults.Task(str(folder / "store"), str(digits), sweep=True)
        while True:
            try:
                faults.run(task, LocalExecutor("numpy"))
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
                whole = faults.hashes(folder / "store")  # what counts as finished is whole
                assert all(faults.hashes(reference)[place] == files for place, files in whole.items())
                size, stops = int(size * 1.15) + 16, stops + 1
                mount(f"size={size}k")
        assert stops > 15 and faults.hashes(folder / "store") == faults.hashes(reference)


@pytest.mark.long
def test_a_disk_that_turns_read_only_stops_the_run_and_nothing_more(reference, digits, tmp_path):
    from ray_defense.execution.local import LocalExecutor

    (tmp_path / "disk").mkdir()
    with disk(tmp_path / "disk", 100_000) as mount:
        task = faults.Task(str(tmp_path / "disk" / "store"), str(digits))
        os.mkdir(task.store)
        mount("ro")
        with pytest.raises(OSError) as stopped:
            faults.run(task, LocalExecutor("numpy"))
        assert stopped.value.errno == errno.EROFS
        mount("rw")
        faults.run(task, LocalExecutor("numpy"))
        made = faults.hashes(task.store)
        assert made == {place: files for place, files in faults.hashes(reference).items() if place in made}
