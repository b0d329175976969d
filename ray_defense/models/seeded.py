"""Initial weights as a function of a seed; torch's global generators stay as they were."""

import threading
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ray_defense.core.checks import check_at_least
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.protocol import Model

Module = TypeVar("Module", bound=nn.Module)

_of_global_generator = threading.Lock()


def build_seeded(build: Callable[[], Module], seed: int) -> Module:
    """Returns `build()`, made on the CPU with torch's global generator at `seed`, in [0, 2^64)."""
    with _of_global_generator, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would reseed the accelerators too.
        torch.default_generator.manual_seed(seed)
        return build()


def build_model(config: Model, num_classes: int, seed: int) -> FeatureClassifier:
    """Returns the network of a configuration on the CPU; equal seeds give equal weights.

    Raises:
        InputError: For fewer than two classes.
    """
    check_at_least("num_classes", num_classes, 2)
    return build_seeded(lambda: config.build(num_classes), seed)
