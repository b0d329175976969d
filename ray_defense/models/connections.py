"""How strongly each feature of a ResNet is connected to the layer before it (what Trojan picks its neurons by)."""

import torch
from torchvision.models.resnet import BasicBlock

from ray_defense.core.errors import Refused
from ray_defense.models.classifier import FeatureClassifier


@torch.no_grad()
def incoming_strength(model: FeatureClassifier) -> torch.Tensor:
    """Returns float [feature_dim]: the sum of the absolute weights into each channel of the last block.

    As batch normalization in eval mode scales them, and with those of the block's shortcut. Raises Refused for a network
    without basic blocks.
    """
    blocks = [module for module in model.extractor.modules() if isinstance(module, BasicBlock)]
    if not blocks:
        raise Refused(f"{type(model.extractor).__name__} has no basic block: give Trojan a ResNet as surrogate")
    paths = [(blocks[-1].conv2, blocks[-1].bn2)]
    if blocks[-1].downsample is not None:
        paths.append(tuple(blocks[-1].downsample))
    return sum(
        convolution.weight.abs().sum((1, 2, 3)) * (norm.weight / (norm.running_var + norm.eps).sqrt()).abs()
        for convolution, norm in paths
    )
