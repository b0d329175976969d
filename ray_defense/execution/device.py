"""The device that work runs on, and how many CPU threads it may use."""

import contextlib
from collections.abc import Iterator

import torch


def best_device() -> torch.device:
    """Returns the first GPU where there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs the body with torch on `count` threads: their number can change a sum's last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
