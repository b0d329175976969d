"""What a model sees of an image: uint8 -> [0, 1] -> random transforms -> normalized, in batches."""

from collections.abc import Sequence

import numpy as np
import torch

from ray_defense.training.normalization import Normalization
from ray_defense.transforms.compose import apply_all
from ray_defense.transforms.protocol import Transform


def to_float(images_BHWC: torch.Tensor) -> torch.Tensor:
    """Returns uint8 images [B, H, W, 3] as float32 [B, 3, H, W] in [0, 1]."""
    return images_BHWC.permute(0, 3, 1, 2).float().div_(255)


def make_view(
    images_BHWC: torch.Tensor,
    index_B: np.ndarray,
    key: int,
    transforms: Sequence[Transform],
    normalization: Normalization,
) -> torch.Tensor:
    """Returns one normalized random view of each image.

    The random draws depend on the key and the index alone (D10).

    Args:
        images_BHWC: uint8 [B, H, W, 3].
        index_B: The indices of the samples, int [B].
        key: The random stream of this view.
        transforms: What is applied, in order, before the normalization.
        normalization: Of the dataset.

    Returns:
        float32 [B, 3, H, W].
    """
    transformed = apply_all(transforms, to_float(images_BHWC), key, index_B)
    return normalization.apply(transformed)
