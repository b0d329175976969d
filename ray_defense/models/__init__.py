"""Networks that give features and logits, or hide bits in images, and their weight files."""

from ray_defense.core.registry import Registry
from ray_defense.models.protocol import Model

MODELS: Registry[type[Model]] = Registry(
    "ray_defense.models",
    {
        "small_resnet": "small_resnet.SmallResNet",
        "small_resnet_coordinates": "small_resnet_coordinates.SmallResNetCoordinates",
        "small_resnet_deep_stem": "small_resnet_deep_stem.SmallResNetDeepStem",
        "resnet18": "resnet18.ResNet18",
        "resnet18_no_pool": "resnet18.ResNet18NoPool",
        "resnet18_imagenet": "resnet18.ResNet18ImageNet",
        "torchvision": "torchvision_network.TorchvisionNetwork",
    },
)
