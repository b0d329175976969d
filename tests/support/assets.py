"""Tiny assets for attacks: a network, patterns, a picture and an encoder, all of fixed weights."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.trojan import patch_slices


def asset_for(attack: Attack, height: int, width: int) -> Any:
    """Returns what an attack requires to stamp images of this size; None if it requires nothing."""
    if attack.requires is None:
        return None
    return _MAKERS[attack.requires](attack, height, width)


@lru_cache
def network(num_features: int = 16) -> nn.Sequential:
    """Returns a convolutional network without a classifier, in eval mode.

    It takes images in [0, 1] and gives non-negative features [B, D].
    """
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, num_features, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
    )
    _fill(layers)
    return nn.Sequential(layers, nn.Flatten()).eval().requires_grad_(False)


@lru_cache
def surrogate(num_classes: int = 10) -> nn.Sequential:
    """Returns a classifier, in eval mode: images in [0, 1] -> logits."""
    classifier = nn.Linear(16, num_classes)
    _fill(classifier)
    return nn.Sequential(network(), classifier).eval().requires_grad_(False)


def random_images(seed: int, count: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Returns uint8 [count, height, width, 3] of noise."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def trojan_pattern(height: int, width: int) -> np.ndarray:
    """Returns uint8 [height, width, 3]: noise of 60 to 250 in the patch, 0 elsewhere."""
    rows, columns = patch_slices(height, width)
    pattern = np.zeros((height, width, 3), np.uint8)
    patch = pattern[rows, columns]
    pattern[rows, columns] = np.random.default_rng(2).integers(60, 251, patch.shape)
    return pattern


class Encoder:
    """Hides bits as faint stripes that also depend on the image."""

    def __init__(self, num_bits: int):
        self.num_bits = num_bits

    def __call__(self, images_BCHW: torch.Tensor, bits_BL: torch.Tensor) -> torch.Tensor:
        """Returns float images [B, 3, H, W] in [0, 1]."""
        stripe_W = torch.arange(images_BCHW.shape[3]) % self.num_bits
        signal_BW = (2 * bits_BL - 1)[:, stripe_W]
        residual_BCHW = (0.02 + 0.04 * images_BCHW) * signal_BW[:, None, None, :]
        return (images_BCHW + residual_BCHW).clamp(0, 1)


def _fill(module: nn.Module) -> None:
    """Fills all parameters with draws of a fixed seed."""
    generator = np.random.default_rng(0)
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 16
        values = generator.normal(0, (2 / fan_in) ** 0.5, tuple(parameter.shape))
        parameter.data = torch.from_numpy(values).float()


_MAKERS: dict[str, Callable[[Any, int, int], Any]] = {
    "surrogate": lambda attack, height, width: surrogate(),
    "trojan_patch": lambda attack, height, width: trojan_pattern(height, width),
    "picture": lambda attack, height, width: random_images(3, 1, 24, width=20)[0],
    "ssba_encoder": lambda attack, height, width: Encoder(len(attack.code)),
}
