"""Settings that every training stage has: its optimizer and its group of workers."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ray_defense.core.checks import at_least


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum."""

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        at_least("learning_rate", self.learning_rate, 0)
        at_least("momentum", self.momentum, 0)
        at_least("weight_decay", self.weight_decay, 0)

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.SGD:
        """Returns the optimizer of `parameters`."""
        return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Workers:
    """The group of training processes; part of the science, since batch statistics and sums depend on it."""

    num_workers: int = 1
    cpus_per_worker: int = 2  # threads of torch in each
    resident_bytes: int = 2 << 30  # pixels up to this size stay on the device; beyond it they stream from the shards

    def __post_init__(self) -> None:
        at_least("num_workers", self.num_workers, 1)
        at_least("cpus_per_worker", self.cpus_per_worker, 1)
        at_least("resident_bytes", self.resident_bytes, 0)
