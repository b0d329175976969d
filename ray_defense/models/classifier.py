"""A network as the paper uses one: features f(x) after global average pooling, then one layer."""

from torch import Tensor, nn


class FeatureClassifier(nn.Module):
    """A feature extractor and its linear classifier; `forward` gives both features and logits.

    Attributes:
        head_name: What the classifier is called in the network that the extractor was made of, such
            as "fc" in torchvision's ResNets; None where the network is ours alone.
    """

    head_name: str | None = None

    def __init__(self, extractor: nn.Module, classifier: nn.Linear):
        super().__init__()
        self.extractor = extractor
        self.classifier = classifier
        self.feature_dim = classifier.in_features

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features and logits of normalized float images.

        Args:
            x_BCHW: Normalized images, float [B,3,H,W].

        Returns:
            Features [B, feature_dim] and logits [B, num_classes].
        """
        features_BD = self.extractor(x_BCHW)
        logits_BN = self.classifier(features_BD)
        return features_BD, logits_BN
