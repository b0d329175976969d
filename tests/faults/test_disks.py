"""A disk that is full or turns read-only stops a run, and costs it no byte.

Row 4 of the faults: no half file is ever seen, and the run resumes once there is room.
"""

import contextlib
import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ray_defense.execution.local import LocalExecutor
from tests.support.faults import Task, run_task, store_hashes

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(900)]


@contextlib.contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Callable[[str], None]]:
    """Mounts a disk at `folder` and gives a function that mounts it anew with other options."""

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)

    def remount(options: str) -> None:
        mount("-o", f"remount,{options}")

    try:
        mount("-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield remount
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_row_fault_04_a_disk_that_is_full_again_and_again_costs_no_byte(
    reference: Path, digits: Path, tmp_path: Path
) -> None:
    """The disk grows a little whenever the run stops for want of space, so at many a write."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size_kib = 32
    num_stops = 0
    undisturbed = store_hashes(reference)
    with small_disk(folder, size_kib) as remount:
        task = Task(str(folder / "store"), str(digits), sweep=True)
        while True:
            try:
                run_task(task, LocalExecutor("numpy"))
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
                # What counts as finished is whole.
                for location, files in store_hashes(folder / "store").items():
                    assert undisturbed[location] == files
                size_kib = int(size_kib * 1.15) + 16
                num_stops += 1
                remount(f"size={size_kib}k")
        assert num_stops > 15
        assert store_hashes(folder / "store") == undisturbed


def test_row_fault_04_a_disk_that_turns_read_only_stops_the_run_and_nothing_more(
    reference: Path, digits: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 100_000) as remount:
        store = folder / "store"
        store.mkdir()
        task = Task(str(store), str(digits))
        remount("ro")
        with pytest.raises(OSError) as stopped:
            run_task(task, LocalExecutor("numpy"))
        assert stopped.value.errno == errno.EROFS
        remount("rw")
        run_task(task, LocalExecutor("numpy"))
        made = store_hashes(store)
        undisturbed = store_hashes(reference)
        assert made == {location: undisturbed[location] for location in made}
