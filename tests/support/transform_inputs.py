"""Random images and random draws, as transforms take them."""

import numpy as np
import torch


def random_images(seed: int, batch: int, height: int = 32, width: int = 32) -> torch.Tensor:
    """Returns float32 [batch, 3, height, width] of noise in [0, 1)."""
    noise = np.random.default_rng(seed).random((batch, 3, height, width), dtype=np.float32)
    return torch.from_numpy(noise)


def random_draws(seed: int, batch: int, count: int) -> torch.Tensor:
    """Returns float32 [batch, count], uniform in [0, 1)."""
    draws = np.random.default_rng(seed).random((batch, count), dtype=np.float32)
    return torch.from_numpy(draws)
