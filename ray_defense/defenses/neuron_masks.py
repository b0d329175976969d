"""Masks and changes of the neurons of a network: the channels of its BatchNorm layers (ANP).

Shapes: K neurons of a layer.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

NeuronChange = list[tuple[Tensor, Tensor]]  # of weights [K] and biases [K], a pair a layer


def norms_of(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """Returns the BatchNorm layers with weights of a network by name, in its order."""
    norms = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            norms[name] = module
    return norms


def masked_parameters(
    norms: Mapping[str, nn.BatchNorm2d],
    masks: Sequence[Tensor],
    change: NeuronChange | None = None,
) -> dict[str, Tensor]:
    """Returns what a network's BatchNorms have under masks and a relative change of them.

    It is (mask + delta) * weight and (1 + xi) * bias for each neuron, Eq. (2) and (5) of ANP.

    Args:
        norms: The layers, as `norms_of` returns them.
        masks: [K] of each layer, in [0, 1].
        change: (delta, xi) of each layer; None for no change.

    Returns:
        The parameters by name, as `torch.func.functional_call` takes them.
    """
    parameters: dict[str, Tensor] = {}
    for position, (name, norm) in enumerate(norms.items()):
        weight = f"{name}.weight"
        bias = f"{name}.bias"
        if change is None:
            parameters[weight] = norm.weight * masks[position]
            parameters[bias] = norm.bias
            continue
        delta_K, xi_K = change[position]
        parameters[weight] = norm.weight * (masks[position] + delta_K)
        parameters[bias] = norm.bias * (1 + xi_K)
    return parameters


def worst_change(
    start: NeuronChange,
    gradient_of: Callable[[NeuronChange], Sequence[Tensor]],
    epsilon: float,
    steps: int,
) -> NeuronChange:
    """Returns the change after some steps of signed gradient ascent inside [-epsilon, epsilon].

    Args:
        start: Where the ascent starts.
        gradient_of: Of the loss: of the deltas and the xis of a change, layer by layer.
        epsilon: The largest change; a step is epsilon / steps long.
        steps: Their number.
    """
    change = start
    for _ in range(steps):
        gradients = gradient_of(change)
        moved = []
        for position, pair in enumerate(change):
            of_pair = gradients[2 * position : 2 * position + 2]
            ends = []
            for value_K, gradient_K in zip(pair, of_pair, strict=True):
                step_K = value_K + epsilon / steps * gradient_K.sign()
                ends.append(step_K.clamp(-epsilon, epsilon).detach())
            moved.append((ends[0], ends[1]))
        change = moved
    return change


@torch.no_grad()
def prune_neurons(network: nn.Module, masks: Sequence[Tensor], threshold: float) -> int:
    """Sets the weights of the neurons to 0 whose mask is below a threshold; returns their number.

    Their biases stay, as in the code of ANP.
    """
    num_pruned = 0
    for norm, mask_K in zip(norms_of(network).values(), masks, strict=True):
        is_pruned_K = mask_K < threshold
        norm.weight[is_pruned_K] = 0
        num_pruned += int(is_pruned_K.sum())
    return num_pruned
