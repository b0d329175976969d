"""Splits requirements.lock for an image without CUDA.

    python split_lock.py requirements.lock FOLDER

writes into FOLDER `torch.txt`, the versions of torch and torchvision that are taken from PyTorch's
index of CPU wheels, and `common.lock`, all else but CUDA, with its hashes.
"""

import sys
from pathlib import Path

TORCH = ("torch", "torchvision")
CUDA_PREFIXES = ("nvidia-", "cuda-", "triton")


def read_lock(text: str) -> dict[str, str]:
    """Returns the lines of each package of a lock, by its name."""
    packages: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name = line.partition("==")[0].partition("[")[0]
            packages[name] = ""
        packages[name] += f"{line}\n"
    return packages


def split_lock(packages: dict[str, str]) -> tuple[str, str]:
    """Returns the content of `torch.txt` and of `common.lock`."""
    torch = ""
    common = ""
    for name, lines in packages.items():
        if name in TORCH:
            torch += lines.partition(" ")[0] + "\n"
        elif not name.startswith(CUDA_PREFIXES):
            common += lines
    return torch, common


if __name__ == "__main__":
    torch, common = split_lock(read_lock(Path(sys.argv[1]).read_text()))
    (Path(sys.argv[2]) / "torch.txt").write_text(torch)
    (Path(sys.argv[2]) / "common.lock").write_text(common)
