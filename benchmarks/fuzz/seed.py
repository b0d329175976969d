"""An honest file, how the product reads it, and what was read as one digest."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Seed:
    """An honest file, and how the product reads it."""

    path: Path  # where the product looks for it; mutants are put there
    data: bytes
    read: Callable[[], str]  # returns a digest of what was read


@dataclass(frozen=True)
class Target:
    """A kind of file."""

    name: str
    make_seeds: Callable[[Path], list[Seed]]  # in an empty folder
    of_store: bool  # whether each mutant must be noticed
    num_mutants: int = 100_000  # of a whole campaign; fewer where one takes long


def digest(*values: object) -> str:
    """Returns a digest of arrays and plain values."""
    hasher = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            hasher.update(str((value.dtype, value.shape)).encode())
            hasher.update(np.ascontiguousarray(value).tobytes())
        else:
            hasher.update(repr(value).encode())
    return hasher.hexdigest()
