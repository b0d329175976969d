"""The projection head of contrastive learning: a two-layer MLP onto the unit sphere.

Source: SupCon (Khosla et al., NeurIPS 2020).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu


class ProjectionHead(nn.Module):
    """Maps features to unit-length projections by two linear layers with a ReLU between."""

    def __init__(self, feature_dim: int, dim: int = 128):
        super().__init__()
        self.hidden = nn.Linear(feature_dim, feature_dim)
        self.output = nn.Linear(feature_dim, dim)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Returns [B, dim], each row of length 1, in float32 at least."""
        z_BD = self.output(relu(self.hidden(features_BD)))
        return normalize(z_BD.to(torch.promote_types(z_BD.dtype, torch.float32)), dim=1)
