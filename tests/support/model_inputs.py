"""Inputs of networks, and what tests ask of their weights."""

import torch
from torch import nn


def normal_images(count: int, side: int = 32) -> torch.Tensor:
    """Returns float32 [count, 3, side, side] of normal noise."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def have_equal_weights(a: nn.Module, b: nn.Module) -> bool:
    """Returns whether all parameters and buffers of two networks are equal."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)
