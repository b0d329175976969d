"""Transforms one after another, each with its own random stream (D10)."""

from collections.abc import Sequence

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import stream, uniform
from ray_defense.transforms.protocol import Transform


def apply_all(
    transforms: Sequence[Transform], images_BCHW: torch.Tensor, key: int, index_B: np.ndarray
) -> torch.Tensor:
    """Returns the images after all transforms, in order.

    What becomes of an image depends on the key and its own index alone, not on the rest of the
    batch (D10). A transform may occur twice, because its position is part of its stream's name.

    Args:
        transforms: The transforms; with none the images themselves are returned.
        images_BCHW: Float images in [0, 1] before normalization.
        key: The key of a random stream (see `core.random.stream`).
        index_B: The indices of the samples, int [B].

    Returns:
        Images of the same shape, device and dtype.
    """
    for position, transform in enumerate(transforms):
        draws = uniform(stream(key, position, transform.name), index_B, transform.num_draws)
        draws_Bn = upload(draws.astype(np.float32), images_BCHW.device)
        images_BCHW = transform.apply(images_BCHW, draws_Bn)
    return images_BCHW
