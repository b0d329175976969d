"""How strongly each feature of a ResNet is connected to the layer before it.

Trojan picks its neurons by this strength (Liu et al., NDSS 2018).
"""

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from ray_defense.core.errors import InputError
from ray_defense.models.classifier import FeatureClassifier


@torch.no_grad()
def incoming_strength(model: FeatureClassifier) -> torch.Tensor:
    """Returns the sum of the absolute weights into each channel of the last block.

    Weights are scaled as batch normalization in eval mode scales them; the weights of the block's
    shortcut count, too.

    Returns:
        float [feature_dim].

    Raises:
        InputError: For a network without basic blocks.
    """
    blocks = [module for module in model.extractor.modules() if isinstance(module, BasicBlock)]
    if not blocks:
        network = type(model.extractor).__name__
        raise InputError(f"{network} has no basic block: give Trojan a ResNet as surrogate")
    last = blocks[-1]
    strength = _scaled_weight_sums(last.conv2, last.bn2)
    if last.downsample is not None:
        convolution, norm = last.downsample
        strength = strength + _scaled_weight_sums(convolution, norm)
    return strength


def _scaled_weight_sums(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
    """Returns the sum of absolute weights into each output channel, after normalization."""
    assert norm.running_var is not None
    weight_sums = convolution.weight.abs().sum((1, 2, 3))
    return weight_sums * (norm.weight / (norm.running_var + norm.eps).sqrt()).abs()
