"""Learning rates as pure functions of how far training is."""

import math

import torch

from ray_defense.core.errors import Refused


def step_decay(rate: float, epoch: int, milestones: tuple[int, ...], factor: float = 0.1) -> float:
    """Returns `rate` times `factor` for every milestone that `epoch` (from 0) has reached."""
    return rate * factor ** sum(epoch >= milestone for milestone in milestones)


def warmup_cosine(rate: float, position: float, epochs: int, warmup_epochs: int, warmup_rate: float, floor: float) -> float:
    """Returns the rate at `position` epochs: linear from `warmup_rate`, then cosine from `rate` to rate * `floor` (SupCon)."""
    low = rate * floor

    def cosine(at: float) -> float:
        return low + (rate - low) * (1 + math.cos(math.pi * at / epochs)) / 2

    if position >= warmup_epochs:
        return cosine(position)
    return warmup_rate + (cosine(warmup_epochs) - warmup_rate) * position / warmup_epochs


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every parameter group."""
    if not rate >= 0:
        raise Refused(f"a learning rate must not be negative, and {rate!r} is")
    for group in optimizer.param_groups:
        group["lr"] = rate
