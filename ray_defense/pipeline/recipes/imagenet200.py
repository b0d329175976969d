"""Runs on 200 classes of ImageNet."""

from dataclasses import replace

from ray_defense.attacks.badnets import BadNets
from ray_defense.data.sources.imagenet200 import ImageNet200
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.models.resnet18 import ResNet18ImageNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.ingest import IngestConfig
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms.rotate_flip import RotateFlip


def imagenet200_badnets() -> Recipe:
    """The paper's ImageNet subset at 224 pixels: `--set source.path=DIR`; for GPUs, not measured.

    The network is trained from scratch, where the authors start from ImageNet weights. Shards hold
    JPEG pages of quality 90. The paper has no D-ST here.
    """
    model = ResNet18ImageNet()
    classifier = SupervisedConfig(
        model,
        epochs=25,
        milestones=(15, 20),
        sgd=Sgd(1e-3, weight_decay=1e-4),
        augmentation=RotateFlip(),
    )
    return Recipe(
        name="imagenet200_badnets",
        source=ImageNet200(),
        attack=BadNets(),
        attacker=AttackerConfig(surrogate=classifier),
        ingest=IngestConfig(500, jpeg_quality=90),
        normalization=NORMALIZATIONS["imagenet"],
        probe=ProbeConfig(model),
        backdoored=classifier,
        defenses=(BackdoorRemoval(),),
    )


def imagenet200_badnets_64() -> Recipe:
    """The paper's ImageNet subset at 64 pixels, stored raw; for GPUs, not measured."""
    return replace(
        imagenet200_badnets(),
        name="imagenet200_badnets_64",
        source=ImageNet200(size=64),
        ingest=IngestConfig(1000),
    )
