"""Transforms one after another, each with its own random stream, so that a draw depends on (key, index) alone (D10)."""

from collections.abc import Sequence

import numpy as np
import torch

from ray_defense.core.random import stream, uniform
from ray_defense.transforms.protocol import Transform


def apply_all(transforms: Sequence[Transform], images_BCHW: torch.Tensor, key: int, index_B: np.ndarray) -> torch.Tensor:
    """Returns the images after all transforms, in order: same shape, device and dtype; the images themselves with none.

    `images` are float in [0, 1] before normalization, `index` int [B] as it travels with the samples, `key` a stream's
    (`core.random.stream`). A transform may occur twice: its place is part of its stream's name. Image i's result does
    not depend on the rest of the batch.
    """
    for position, transform in enumerate(transforms):
        draws = uniform(stream(key, position, transform.name), index_B, transform.num_draws)
        draws_Bn = torch.from_numpy(draws).to(images_BCHW.device, torch.float32)
        images_BCHW = transform.apply(images_BCHW, draws_Bn)
    return images_BCHW
