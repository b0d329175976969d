"""The small ResNet with two more input channels that say where a pixel is.

With them a convolution can tell the left of an image from the right (Liu et al., "An intriguing
failing of convolutional neural networks and the CoordConv solution", NeurIPS 2018).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least

if TYPE_CHECKING:
    from ray_defense.models.classifier import FeatureClassifier


@dataclass(frozen=True)
class SmallResNetCoordinates:
    """`SmallResNet` over an image, its rows and its columns, each from -1 to 1."""

    name: ClassVar[str] = "small_resnet_coordinates"

    width: int = 16  # channels of the stem; features are 4 times as many

    def __post_init__(self) -> None:
        check_at_least("width", self.width, 1)

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        from torch import nn

        from ray_defense.models.add_coordinates import AddCoordinates
        from ray_defense.models.classifier import FeatureClassifier
        from ray_defense.models.small_resnet import build_small_extractor

        extractor = build_small_extractor(self.width, num_channels=5)
        with_coordinates = nn.Sequential(AddCoordinates(), *extractor)
        return FeatureClassifier(with_coordinates, nn.Linear(4 * self.width, num_classes))
