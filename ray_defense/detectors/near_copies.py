"""Near-copies: images that show the same at a glance.

Datasets from the web hold one photograph many times, cropped or recolored. Such images share a
fixed pattern, too; images that share a trigger show different things.

Shapes: M images, F values at a glance.
"""

import numpy as np
import torch

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.training.views import to_float

_SIDE = 8  # pixels of a side of an image at a glance
_LEAST_COSINE = 0.95
_AT_ONCE = 500


def copies_of_earlier(dataset: SuspectDataset, positions: np.ndarray) -> np.ndarray:
    """Returns which images are near-copies of one before them, bool [M].

    Two images are near-copies if their averages over 8 x 8 fields, less the mean of these, have a
    cosine above 0.95.

    Args:
        dataset: The samples.
        positions: Which of them, in an order.
    """
    is_copy_M = np.zeros(len(positions), bool)
    glances_MF = np.zeros((len(positions), 3 * _SIDE * _SIDE), np.float32)
    for low in range(0, len(positions), _AT_ONCE):
        chosen = positions[low : low + _AT_ONCE]
        glances_MF[low : low + len(chosen)] = _at_a_glance(dataset.read_images(chosen))
        cosines = glances_MF[low : low + len(chosen)] @ glances_MF[: low + len(chosen)].T
        is_earlier = np.arange(low + len(chosen)) < np.arange(low, low + len(chosen))[:, None]
        is_copy_M[low : low + len(chosen)] = ((cosines > _LEAST_COSINE) & is_earlier).any(axis=1)
    return is_copy_M


def _at_a_glance(images: np.ndarray) -> np.ndarray:
    """Returns rows of length 1, float32 [B, F], of images uint8 [B, H, W, 3]."""
    images_BCHW = to_float(torch.from_numpy(images))
    pooled_BF = torch.nn.functional.adaptive_avg_pool2d(images_BCHW, _SIDE).flatten(1)
    centered_BF = pooled_BF - pooled_BF.mean(1, keepdim=True)
    rows: np.ndarray = torch.nn.functional.normalize(centered_BF).numpy()
    return rows
