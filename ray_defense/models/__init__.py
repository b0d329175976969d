"""Networks that give features and logits, or hide bits in images; their seeded initialization and their weight files."""

from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.connections import incoming_strength
from ray_defense.models.projection_head import ProjectionHead
from ray_defense.models.resnet18 import ResNet18, ResNet18ImageNet, ResNet18NoPool
from ray_defense.models.seeded import build_model, seeded
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.steganography import Steganography, SteganographyDecoder, SteganographyEncoder, SteganographyPair
from ray_defense.models.weights import load_weights, save_weights

MODELS = {
    "small_resnet": SmallResNet,
    "resnet18": ResNet18,
    "resnet18_no_pool": ResNet18NoPool,
    "resnet18_imagenet": ResNet18ImageNet,
}

__all__ = [
    "MODELS",
    "FeatureClassifier",
    "ProjectionHead",
    "ResNet18",
    "ResNet18ImageNet",
    "ResNet18NoPool",
    "SmallResNet",
    "Steganography",
    "SteganographyDecoder",
    "SteganographyEncoder",
    "SteganographyPair",
    "build_model",
    "incoming_strength",
    "load_weights",
    "save_weights",
    "seeded",
]
