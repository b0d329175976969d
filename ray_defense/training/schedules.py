"""Learning rates as functions of how far the training is."""

import math

import torch

from ray_defense.core.errors import InputError


def step_decay(rate: float, epoch: int, milestones: tuple[int, ...], factor: float = 0.1) -> float:
    """Returns `rate` times `factor` for every milestone that `epoch` (from 0) has reached."""
    return rate * factor ** sum(epoch >= milestone for milestone in milestones)


def warmup_cosine(
    rate: float,
    position: float,
    *,
    epochs: int,
    warmup_epochs: int,
    warmup_rate: float,
    final_fraction: float,
) -> float:
    """Returns the learning rate of SupCon: a linear warm-up, then a cosine.

    Args:
        rate: Where the cosine would start.
        position: How far the training is, in epochs.
        epochs: How long it is.
        warmup_epochs: How long the warm-up is.
        warmup_rate: Where the warm-up starts.
        final_fraction: The cosine ends at `rate` times this.
    """
    lowest = rate * final_fraction

    def cosine(at: float) -> float:
        return lowest + (rate - lowest) * (1 + math.cos(math.pi * at / epochs)) / 2

    if position >= warmup_epochs:
        return cosine(position)
    return warmup_rate + (cosine(warmup_epochs) - warmup_rate) * position / warmup_epochs


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every parameter group.

    Raises:
        InputError: If it is negative or not a number.
    """
    if not rate >= 0:
        raise InputError(f"a learning rate must not be negative, and {rate!r} is")
    for group in optimizer.param_groups:
        group["lr"] = rate


def cosine_decay(rate: float, position: float) -> float:
    """Returns the rate on a cosine from `rate` to 0, at a position in [0, 1] of the training."""
    return rate * (1 + math.cos(math.pi * position)) / 2
