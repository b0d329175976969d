"""FCT, the feature consistency towards transformations, Eq. (1), over draws of the transform.

Shapes: B samples, D features, K draws.
"""

from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.checks import check_in_range
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def feature_consistency(features_BD: "Tensor", transformed_BD: "Tensor") -> "Tensor":
    """Returns the squared distance between the features of each sample and of its transformed view.

    This is a squared norm, not a mean over D (D1). Source: Eq. (1).

    Args:
        features_BD: The features of the samples.
        transformed_BD: The features of their transformed views.

    Returns:
        float64 [B]; larger is more suspicious. Each value depends on its own row alone.

    Raises:
        InputError: If the shapes differ.
    """
    if features_BD.ndim != 2 or features_BD.shape != transformed_BD.shape:
        shapes = f"{list(features_BD.shape)} and {list(transformed_BD.shape)}"
        raise InputError(f"features must be two [B, D], not {shapes}")
    difference_BD = features_BD.detach().double() - transformed_BD.detach().double()
    return difference_BD.square().sum(dim=1)


def reduce_draws(distances_KB: np.ndarray, reduction: str | float) -> np.ndarray:
    """Returns one number a sample out of the distances of several draws of the transform.

    A clean image moves far under an unlucky rotation, but not under every one: a low quantile tells
    it from an image with a trigger.

    Args:
        distances_KB: The distances of K >= 1 draws.
        reduction: "mean" (D2), or a quantile in [0, 1], where 0 is the minimum.

    Returns:
        float64 [B].

    Raises:
        InputError: For another reduction, or distances of another shape.
    """
    reduction = parse_reduction(reduction)
    distances_KB = np.asarray(distances_KB, dtype=np.float64)
    if distances_KB.ndim != 2 or not len(distances_KB):
        shape = list(distances_KB.shape)
        raise InputError(f"distances must be [K, B] with K >= 1 draws, not {shape}")
    if isinstance(reduction, float):
        quantile_B: np.ndarray = np.quantile(distances_KB, reduction, axis=0)
        return quantile_B
    # The rows are added one by one, because the order in which np.mean adds depends on B.
    total_B = np.zeros(distances_KB.shape[1])
    for distances_B in distances_KB:
        total_B = total_B + distances_B
    return total_B / len(distances_KB)


def parse_reduction(reduction: str | float) -> str | float:
    """Returns "mean", or a quantile as a float; "0.1" from a command line is 0.1.

    Raises:
        InputError: If the reduction is neither "mean" nor a quantile in [0, 1].
    """
    if reduction == "mean":
        return "mean"
    try:
        quantile = float(reduction)
    except ValueError:
        raise InputError(
            f"reduce must be 'mean' or a quantile in [0, 1], not {reduction!r}"
        ) from None
    check_in_range("reduce, as a quantile,", quantile, 0, 1)
    return quantile
