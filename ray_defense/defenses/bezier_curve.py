"""Models along a quadratic Bezier curve, and their batch statistics (MCR)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def point_of_curve(
    start: nn.Module, bend: nn.Module, end: nn.Module, t: float
) -> dict[str, Tensor]:
    """Returns the parameters by name at (1 - t)^2 start + 2 t (1 - t) bend + t^2 end.

    Args:
        start: The model at t = 0.
        bend: What draws the curve; the result has a gradient to it where it wants one.
        end: The model at t = 1.
        t: In [0, 1].
    """
    of_bend = dict(bend.named_parameters())
    of_end = dict(end.named_parameters())
    point = {}
    for name, parameter in start.named_parameters():
        point[name] = (
            (1 - t) ** 2 * parameter.detach()
            + 2 * t * (1 - t) * of_bend[name]
            + t**2 * of_end[name].detach()
        )
    return point


@torch.no_grad()
def recompute_batch_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Takes the running statistics of a network's BatchNorms anew from batches of images.

    Afterwards they are the means over the batches of the batch's mean and unbiased variance, each
    batch weighted by its size.

    Args:
        network: It is left in evaluation mode.
        batches: Float [B, 3, H, W] each; B of 2 or more.
    """
    norms = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            norms.append(module)
            module.reset_running_stats()
    momenta = [norm.momentum for norm in norms]
    network.train()
    num_seen = 0
    for images_BCHW in batches:
        num_seen += len(images_BCHW)
        for norm in norms:
            norm.momentum = len(images_BCHW) / num_seen
        network(images_BCHW)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
