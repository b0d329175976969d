"""What the networks of the plan weigh, counted from the networks themselves."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ray_defense.losses.contrastive import semi_supervised_contrastive
from ray_defense.models.projected_features import ProjectedFeatures
from ray_defense.models.protocol import Model
from ray_defense.models.seeded import build_model


@dataclass(frozen=True)
class NetworkSize:
    """What a network weighs."""

    num_parameters: int
    num_trained: int  # parameters with a gradient: those that the all-reduce moves
    buffer_bytes: int
    flops: int  # of one image forward

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model."""
        return 4 * self.num_parameters + self.buffer_bytes


@cache
def network_size(
    config: Model, num_classes: int, size: int, projection_dim: int | None = None
) -> NetworkSize:
    """Returns what a network weighs.

    Args:
        config: The network.
        num_classes: Of the dataset.
        size: Pixels of a side.
        projection_dim: Of the head in SS-CTL, where the classifier is frozen; None without one.
    """
    classifier = build_model(config, num_classes, seed=0)
    network: nn.Module = classifier
    if projection_dim is not None:
        classifier.classifier.requires_grad_(False)
        network = ProjectedFeatures(classifier, projection_dim)
    num_trained = 0
    for parameter in network.parameters():
        if parameter.requires_grad:
            num_trained += parameter.numel()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size))
    return NetworkSize(
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_trained=num_trained,
        buffer_bytes=sum(buffer.nbytes for buffer in network.buffers()),
        flops=counter.get_total_flops(),
    )


@cache
def feature_dim(config: Model, num_classes: int) -> int:
    """Returns the dimension of a network's features."""
    return build_model(config, num_classes, seed=0).feature_dim


@cache
def contrastive_bytes_per_pair() -> float:
    """Returns the bytes that SS-CTL keeps for its backward pass for each pair of views.

    They are counted at 256 views: storages of as many numbers as there are pairs.
    """
    num_samples = 128
    num_views = 2 * num_samples
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # The tensor stays alive, so that no address is used twice.
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    z_BVD = torch.nn.functional.normalize(torch.randn(num_samples, 2, 128), dim=2)
    z_BVD.requires_grad_()
    labels_B = torch.arange(num_samples) % 10
    trusted_B = torch.ones(num_samples, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        semi_supervised_contrastive(z_BVD, labels_B, trusted_B, temperature=0.1)
    num_bytes = 0
    for tensor in kept.values():
        if tensor.numel() == num_views**2:
            num_bytes += tensor.untyped_storage().nbytes()
    return num_bytes / num_views**2
