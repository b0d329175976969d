"""ResNet-18 (He et al., CVPR 2016): torchvision's body under the three stems of the paper."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ray_defense.models.classifier import FeatureClassifier


@dataclass(frozen=True)
class ResNet18:
    """For CIFAR-10: a 3x3 stride-1 convolution; the 3x3 stride-2 max-pool is kept."""

    name: ClassVar[str] = "resnet18"

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        return _build(num_classes, small_stem=True, pool=True)


@dataclass(frozen=True)
class ResNet18NoPool:
    """For CIFAR-100 and for D-ST: a 3x3 stride-1 convolution, no max-pool."""

    name: ClassVar[str] = "resnet18_no_pool"

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        return _build(num_classes, small_stem=True, pool=False)


@dataclass(frozen=True)
class ResNet18ImageNet:
    """For ImageNet: torchvision's own stem, a 7x7 stride-2 convolution and the max-pool."""

    name: ClassVar[str] = "resnet18_imagenet"

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
        return _build(num_classes, small_stem=False, pool=True)


def _build(num_classes: int, *, small_stem: bool, pool: bool) -> "FeatureClassifier":
    from torch import nn
    from torchvision.models import resnet18

    from ray_defense.models.classifier import FeatureClassifier

    network = resnet18(weights=None, num_classes=num_classes)
    if small_stem:
        stem = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        # As torchvision initializes its own.
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        network.conv1 = stem
    if not pool:
        network.maxpool = nn.Identity()
    classifier = network.fc
    network.fc = nn.Identity()
    model = FeatureClassifier(network, classifier)
    model.head_name = "fc"
    return model
