"""A model's features projected to the unit sphere: what SS-CTL trains (Algorithm 3)."""

from torch import Tensor, nn

from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.projection_head import ProjectionHead


class ProjectedFeatures(nn.Module):
    """A model without its classifier, and a projection head on its features."""

    def __init__(self, model: FeatureClassifier, projection_dim: int):
        super().__init__()
        self.model = model
        self.head = ProjectionHead(model.feature_dim, projection_dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns [B, projection_dim], each row of length 1, of normalized images [B,3,H,W]."""
        features_BD, _ = self.model(x_BCHW)
        z_BD: Tensor = self.head(features_BD)
        return z_BD
