"""Random vectors in float64 and their inner products as loops, for parity tests."""

import math
from collections.abc import Sequence

import torch


def random_rows(*shape: int, seed: int) -> torch.Tensor:
    """Returns float64 normal values of any shape."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_unit_rows(*shape: int, seed: int) -> torch.Tensor:
    """Returns float64 vectors of length 1 along the last axis."""
    return torch.nn.functional.normalize(random_rows(*shape, seed=seed), dim=-1)


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the inner product of two vectors."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True))
