"""The small ResNet for larger images: its stem halves them several times before the blocks.

A block costs as much at 224 pixels and three halvings as at 56 pixels and one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least

if TYPE_CHECKING:
    from ray_defense.models.classifier import FeatureClassifier


@dataclass(frozen=True)
class SmallResNetDeepStem:
    """`SmallResNet` with a stem of several stride-2 convolutions."""

    name: ClassVar[str] = "small_resnet_deep_stem"

    width: int = 16  # channels of the stem; features are 4 times as many
    num_halvings: int = 3  # stride-2 convolutions of the stem
    coordinates: bool = False  # whether the network also sees where a pixel is

    def __post_init__(self) -> None:
        check_at_least("width", self.width, 1)
        check_at_least("num_halvings", self.num_halvings, 1)

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        from torch import nn

        from ray_defense.models.add_coordinates import AddCoordinates
        from ray_defense.models.classifier import FeatureClassifier
        from ray_defense.models.small_resnet import build_small_extractor

        num_channels = 5 if self.coordinates else 3
        extractor = build_small_extractor(self.width, num_channels, self.num_halvings)
        if self.coordinates:
            extractor = nn.Sequential(AddCoordinates(), *extractor)
        return FeatureClassifier(extractor, nn.Linear(4 * self.width, num_classes))
