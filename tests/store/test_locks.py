"""A lock is held by one process, which those who wait can name; only who may write may hold it."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ray_defense.core.errors import RunError
from ray_defense.core.progress import ProgressEvent, listening
from ray_defense.store import locks
from ray_defense.store.locks import held_lock

HOLD = (
    "import sys, time; from pathlib import Path; from ray_defense.store.locks import held_lock\n"
    "with held_lock(Path(sys.argv[1]), 'probe'): print('held', flush=True); sys.stdin.read()"
)


def test_who_waits_is_told_who_holds_the_lock_and_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "_NOTE_EVERY_S", 0.2)
    path = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    events: list[ProgressEvent] = []

    def wait() -> None:
        with listening(events.append), held_lock(path, "probe"):
            pass

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 120
    while len(events) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    other.communicate("")
    waiting.join(120)
    assert not waiting.is_alive()
    assert events[0].task == "probe"
    assert events[0].note.startswith(f"waiting for process {other.pid} of ")
    assert events[1].note.endswith(" s so far")


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": []}', b"\xff" * 2000, b"[" * 5000])
def test_whatever_stands_in_the_lock_file_a_wait_is_announced(tmp_path: Path, content: bytes):
    path = tmp_path / "a.lock"
    with held_lock(path, "probe"):
        path.write_bytes(content)
        handle = os.open(path, os.O_RDONLY)
        assert locks._describe_holder(handle) == "another run of it"
        os.close(handle)


@pytest.mark.parametrize(
    ("folder_mode", "expected"), [(0o755, 0o600), (0o775, 0o660), (0o777, 0o666), (0o700, 0o600)]
)
def test_only_who_may_write_to_the_folder_may_open_the_lock(
    tmp_path: Path, folder_mode: int, expected: int
):
    """Finding: whoever could read a lock file could hold it, for ever."""
    folder = tmp_path / "probe"
    folder.mkdir()
    folder.chmod(folder_mode)
    path = folder / "a.lock"
    path.touch(mode=0o644)  # by an older version
    with held_lock(path, "probe"):
        assert stat.S_IMODE(path.stat().st_mode) == expected


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_the_place_of_a_lock_leaves_the_file_behind_it_alone(tmp_path: Path, link):
    """Finding: in a shared store, a link named like the lock emptied the victim's file."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link(victim, tmp_path / "a.lock")
    with pytest.raises(RunError, match=r"a\.lock"), held_lock(tmp_path / "a.lock", "probe"):
        pytest.fail("the lock is held")
    assert victim.read_text() == "precious"


def test_a_fifo_in_the_place_of_a_lock_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "a.lock")
    with pytest.raises(RunError, match="not a lock file"), held_lock(tmp_path / "a.lock", "probe"):
        pytest.fail("the lock is held")


def test_a_link_in_the_place_of_a_half_written_file_is_not_followed(tmp_path: Path):
    from ray_defense.core import files

    victim = tmp_path / "victim"
    victim.write_text("precious")
    drawn = iter(["00", "11"])
    original = files.secrets.token_hex
    try:
        files.secrets.token_hex = lambda count: next(drawn)
        (tmp_path / ".a.json.00.part").symlink_to(victim)
        with pytest.raises(FileExistsError):
            files.write_bytes(tmp_path / "a.json", b"data")
        files.write_bytes(tmp_path / "a.json", b"data")
    finally:
        files.secrets.token_hex = original
    assert victim.read_text() == "precious"
