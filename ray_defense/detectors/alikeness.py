"""How alike the images of a label are by themselves: digits and faces are, photographs are not.

It is the share of the local contrast of an image that the mean of its label explains. The means of
two halves of a label are multiplied, so that chance adds nothing.

Shapes: B images, C classes, D values of local contrast.
"""

from functools import lru_cache

import numpy as np
import torch

from ray_defense.core.random import permutation, stream
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.models.local_contrast import LocalContrast
from ray_defense.training.views import to_float

_NUM_READ = 4000  # images at most
_READ_AT_ONCE = 100
_MEAN = 0.5  # of a pixel, in any photographs
_DEVIATION = 0.25
_FEWEST = 4  # images of a label, below which it says nothing


@lru_cache(maxsize=1)  # each detector of patterns asks for it
@torch.no_grad()
def alikeness_of_labels(dataset: SuspectDataset) -> float:
    """Returns the share of a label that is less alike than three quarters of the labels.

    A trigger makes the images of some labels alike, and not those of most labels.
    """
    order = permutation(stream(0, "alikeness"), dataset.num_samples)[:_NUM_READ]
    positions = np.sort(order)
    contrast = LocalContrast()
    labels_N = dataset.labels[positions]
    num_groups = 2 * dataset.num_classes  # two halves of each label
    group_N = 2 * labels_N
    for label in np.unique(labels_N):
        members = np.flatnonzero(labels_N == label)
        group_N[members[1::2]] += 1
    sums_GD = squares_D = None
    for low in range(0, len(positions), _READ_AT_ONCE):
        images = dataset.read_images(positions[low : low + _READ_AT_ONCE])
        normalized_BCHW = (to_float(torch.from_numpy(images)) - _MEAN) / _DEVIATION
        contrast_BD = contrast(normalized_BCHW).double()
        if sums_GD is None or squares_D is None:
            sums_GD = contrast_BD.new_zeros(num_groups, contrast_BD.shape[1])
            squares_D = contrast_BD.new_zeros(contrast_BD.shape[1])
        group_B = torch.from_numpy(group_N[low : low + _READ_AT_ONCE])
        sums_GD.index_add_(0, group_B, contrast_BD)
        squares_D += contrast_BD.square().sum(0)
    assert sums_GD is not None and squares_D is not None
    mean_D = sums_GD.sum(0) / len(positions)
    variance_D = (squares_D / len(positions) - mean_D.square()).clamp(min=1e-12)
    counts_G = np.bincount(group_N, minlength=num_groups)
    shares = []
    for label in range(dataset.num_classes):
        num_first, num_second = counts_G[2 * label], counts_G[2 * label + 1]
        if num_first + num_second < _FEWEST:
            continue
        product_D = sums_GD[2 * label] * sums_GD[2 * label + 1] / (num_first * num_second)
        shares.append(float((product_D / variance_D).mean()))
    if not shares:
        return 0.0
    return float(np.quantile(shares, 0.25, method="lower"))
