"""What each BatchNorm layer of a network thinks of its inputs.

Shapes: B samples, L layers.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ray_defense.core.errors import InputError
from ray_defense.scores.batchnorm_density import layer_surprise


@torch.no_grad()
def read_layer_surprises(network: nn.Module, view_BCHW: Tensor) -> np.ndarray:
    """Returns `layer_surprise` of a batch at each BatchNorm layer, in the order of the layers.

    Args:
        network: In eval mode.
        view_BCHW: Normalized images.

    Returns:
        float64 [B, L].

    Raises:
        InputError: For a network without BatchNorm layers that keep running statistics.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    surprises: dict[int, np.ndarray] = {}
    handles = []
    for number, layer in enumerate(layers):
        handles.append(layer.register_forward_pre_hook(_Recorder(surprises, number)))
    try:
        network(view_BCHW)
    finally:
        for handle in handles:
            handle.remove()
    if not surprises:
        raise InputError("the network has no BatchNorm layer: leave bn_density out")
    return np.stack([surprises[number] for number in sorted(surprises)], axis=1)


class _Recorder:
    """Keeps what one layer thinks of its input, as a hook of it."""

    def __init__(self, surprises: dict[int, np.ndarray], number: int):
        self._surprises = surprises
        self._number = number

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        if layer.running_mean is None or layer.running_var is None:
            return
        surprise_B = layer_surprise(inputs[0], layer.running_mean, layer.running_var, layer.eps)
        self._surprises[self._number] = surprise_B.cpu().numpy()
