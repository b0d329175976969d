"""How many CPUs this process may use."""

import os


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may run on; all of them on macOS."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
