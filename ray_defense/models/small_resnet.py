"""A ResNet of three basic blocks for tests and small images (He et al., CVPR 2016).

It has 78,042 weights for ten classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least

if TYPE_CHECKING:
    from torch import nn
    from torchvision.models.resnet import BasicBlock

    from ray_defense.models.classifier import FeatureClassifier

_MIN_CHANNELS_OF_STRIDED = 8  # see `pointwise_halving`


@dataclass(frozen=True)
class SmallResNet:
    """A stride-2 stem, then blocks of 1, 2 and 4 times its width."""

    name: ClassVar[str] = "small_resnet"

    width: int = 16  # channels of the stem; features are 4 times as many

    def __post_init__(self) -> None:
        check_at_least("width", self.width, 1)

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        from torch import nn

        from ray_defense.models.classifier import FeatureClassifier

        extractor = build_small_extractor(self.width, num_channels=3)
        return FeatureClassifier(extractor, nn.Linear(4 * self.width, num_classes))


def build_small_extractor(width: int, num_channels: int, num_halvings: int = 1) -> "nn.Sequential":
    """Returns the layers up to the features, initialized from torch's global generator.

    Args:
        width: Channels of the stem.
        num_channels: Of the input.
        num_halvings: Stride-2 convolutions of the stem, at least 1.
    """
    from torch import nn
    from torchvision.models.resnet import BasicBlock

    stem: list[nn.Module] = []
    for number in range(num_halvings):
        channels = num_channels if number == 0 else width
        stem.append(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))
        stem.append(nn.BatchNorm2d(width))
        stem.append(nn.ReLU(inplace=True))
    extractor = nn.Sequential(
        *stem,
        BasicBlock(width, width),
        _halving_block(width, 2 * width),
        _halving_block(2 * width, 4 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for layer in extractor.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return extractor


def _halving_block(width_in: int, width_out: int) -> "BasicBlock":
    from torch import nn
    from torchvision.models.resnet import BasicBlock

    from ray_defense.models.pointwise_halving import PointwiseHalving

    if width_in < _MIN_CHANNELS_OF_STRIDED:
        projection: nn.Conv2d = PointwiseHalving(width_in, width_out)
    else:
        projection = nn.Conv2d(width_in, width_out, 1, stride=2, bias=False)
    shortcut = nn.Sequential(projection, nn.BatchNorm2d(width_out))
    return BasicBlock(width_in, width_out, stride=2, downsample=shortcut)
