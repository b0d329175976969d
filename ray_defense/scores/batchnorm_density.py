"""BatchNorm log-density: how improbable the rarest activation of a sample is, layer by layer.

The idea is from FLARE (TIFS 2025): a BatchNorm layer knows the mean and the variance of its inputs,
and a trigger causes activations far from them. FLARE's clustering of the layers is not used.
Shapes: B samples, C channels, L layers.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.scores.robust_z import robust_z_within_label

if TYPE_CHECKING:
    from torch import Tensor


def layer_surprise(
    activations: "Tensor", mean_C: "Tensor", variance_C: "Tensor", epsilon: float = 1e-5
) -> "Tensor":
    """Returns minus the smallest log-density among the activations of each sample in one layer.

    The density of an activation is the normal one with the running mean and the running variance
    (plus epsilon) of its channel. In a channel it is smallest at the highest or at the lowest
    activation, so only these two are looked at.

    Args:
        activations: The input of a BatchNorm layer, float [B, C] or [B, C, ...].
        mean_C: The running mean of the layer.
        variance_C: The running variance of the layer, not negative.
        epsilon: What the layer adds to the variance.

    Returns:
        float64 [B]; larger is more suspicious. Each value depends on its own sample alone.

    Raises:
        InputError: If the shapes differ.
    """
    import torch

    shape = list(activations.shape)
    if len(shape) < 2 or shape[1:2] != list(mean_C.shape) or mean_C.shape != variance_C.shape:
        raise InputError(
            f"activations must be [B, C, ...] for means [C], not {shape} for {list(mean_C.shape)}"
        )
    positions_BCP = activations.detach()[..., None].flatten(start_dim=2)
    mean_C = mean_C.detach().double()
    variance_C = variance_C.detach().double() + epsilon
    above_BC = positions_BCP.amax(dim=2).double() - mean_C
    below_BC = mean_C - positions_BCP.amin(dim=2).double()
    farthest_BC = torch.maximum(above_BC, below_BC)
    surprise_BC = 0.5 * (torch.log(2 * math.pi * variance_C) + farthest_BC.square() / variance_C)
    return surprise_BC.amax(dim=1)


def combine_layers(surprises_ML: np.ndarray, labels_M: np.ndarray) -> np.ndarray:
    """Returns the mean over the layers of the robust z of each sample within its label.

    Args:
        surprises_ML: `layer_surprise` of all samples in L >= 1 layers, finite.
        labels_M: Labels as received, int.

    Returns:
        float64 [M]; larger is more suspicious.

    Raises:
        InputError: For other shapes, no layer, or numbers that are not finite.
    """
    z_ML = robust_z_within_label(surprises_ML, labels_M)
    if not z_ML.shape[1]:
        raise InputError("the network has no BatchNorm layer: use another detector")
    # Column by column, because the order in which np.mean adds depends on the shape.
    total_M = np.zeros(len(z_ML))
    for column_M in z_ML.T:
        total_M = total_M + column_M
    mean_M: np.ndarray = total_M / z_ML.shape[1]
    return mean_M
