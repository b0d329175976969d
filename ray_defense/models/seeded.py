"""Initial weights as a function of a seed, with torch's global generators left as they were."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import nn

from ray_defense.core.checks import at_least

Module = TypeVar("Module", bound=nn.Module)


class Model(Protocol):
    """The configuration of a network."""

    name: str

    def build(self, num_classes: int) -> nn.Module:
        """Returns the network, initialized from torch's global generator."""


def seeded(build: Callable[[], Module], seed: int) -> Module:
    """Returns `build()`, made on the CPU with the global generator at `seed`, in [0, 2^64)."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the accelerators too
        return build()


def build_model(config: Model, num_classes: int, seed: int) -> nn.Module:
    """Returns the network of `config` on the CPU; equal seeds give equal weights. Raises Refused below two classes."""
    at_least("num_classes", num_classes, 2)
    return seeded(lambda: config.build(num_classes), seed)
