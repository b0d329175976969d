"""Looks at the memory of this process and of Ray's below it, again and again, by role and stage."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]

MIB = 1 << 20
INTERVAL_S = 0.2

RolesMib = dict[str, dict[str, dict[str, float]]]  # role -> stage -> "peak" and "settled"


class MemorySampler:
    """Samples memory that no other process shares (USS), of the largest process of each role.

    A role is what a worker's process title says it does; what a worker keeps after its task counts
    as IDLE.
    """

    def __init__(self) -> None:
        self.stage = "start"  # under which samples are kept; the caller changes it
        self.object_store_bytes = 0  # the most there ever were
        self._uss: dict[str, dict[str, list[int]]] = {}  # role -> stage -> bytes of each sample
        self._done = threading.Event()

    def take_sample(self) -> None:
        """Takes one sample; it includes the pages of files that one process alone has mapped."""
        driver = psutil.Process()
        uss_of_roles = {"driver": driver.memory_full_info().uss}
        for process in driver.children(recursive=True):
            with contextlib.suppress(psutil.Error, IndexError, OSError):  # it may have ended
                self._look_at(process, uss_of_roles)
        for role, uss in uss_of_roles.items():
            of_role = self._uss.setdefault(role, {})
            of_role.setdefault(self.stage, []).append(uss)

    def _look_at(self, process: psutil.Process, uss_of_roles: dict[str, int]) -> None:
        title = process.cmdline()[0]
        if os.path.basename(title) == "raylet":
            num_bytes = count_object_store_bytes(process.pid)
            self.object_store_bytes = max(self.object_store_bytes, num_bytes)
        elif title.startswith("ray::"):
            role = role_of_title(title)
            uss = process.memory_full_info().uss
            uss_of_roles[role] = max(uss_of_roles.get(role, 0), uss)

    def uss_mib(self) -> RolesMib:
        """Returns the peak and the settled memory in MiB by role and stage.

        Settled is the median of the second half of the samples.
        """
        roles: RolesMib = {}
        for role, stages in sorted(self._uss.items()):
            roles[role] = {}
            for stage, samples in stages.items():
                settled = median(samples[len(samples) // 2 :])
                roles[role][stage] = {
                    "peak": round(max(samples) / MIB, 1),
                    "settled": round(settled / MIB, 1),
                }
        return roles

    @contextlib.contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples from a thread as long as the body runs."""
        thread = threading.Thread(target=self._follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _follow(self) -> None:
        while not self._done.wait(INTERVAL_S):
            self.take_sample()


def own_uss_mib() -> float:
    """Returns the memory in MiB that this process shares with no other."""
    uss: int = psutil.Process().memory_full_info().uss
    return round(uss / MIB, 1)


def role_of_title(title: str) -> str:
    """Returns the role that the title of a Ray worker names; for a method, its class.

    Args:
        title: `ray::BlockActor.run`, `ray::IDLE`, `ray::ReadRange->MapBatches(write)`.
    """
    words = title.removeprefix("ray::").split("(")[0].split()
    return words[0].split(".")[0]


def count_object_store_bytes(raylet: int) -> int:
    """Returns the bytes of a raylet's object store that were ever touched.

    The store is made of files of shared memory without a name, which the raylet holds open.

    Args:
        raylet: Its process id.
    """
    bytes_of_inode = {}
    for link in Path(f"/proc/{raylet}/fd").iterdir():
        if "plasma" in os.readlink(link):
            stat = link.stat()
            bytes_of_inode[stat.st_ino] = 512 * stat.st_blocks
    return sum(bytes_of_inode.values())
