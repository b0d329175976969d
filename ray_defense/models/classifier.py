"""A network as the paper uses one: features f(x) after global average pooling, then one linear layer."""

from torch import Tensor, nn


class FeatureClassifier(nn.Module):
    """A feature extractor and its linear classifier; `forward` gives both the features and the logits."""

    def __init__(self, extractor: nn.Module, classifier: nn.Linear):
        super().__init__()
        self.extractor = extractor
        self.classifier = classifier
        self.feature_dim = classifier.in_features

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features [B, feature_dim] and logits [B, num_classes] of normalized float images."""
        features_BD = self.extractor(x_BCHW)
        return features_BD, self.classifier(features_BD)
