"""Runs on CIFAR-10 and CIFAR-100."""

from dataclasses import replace

from ray_defense.attacks.badnets import BadNets
from ray_defense.core.config import override
from ray_defense.data.sources.cifar import Cifar10, Cifar100
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.fct_draws import FctDraws
from ray_defense.detectors.fixed_pattern import FixedPattern
from ray_defense.detectors.grow import Grow
from ray_defense.detectors.handed_pattern import HandedPattern
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.models.resnet18 import ResNet18NoPool
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.detect import DetectConfig
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms.crop_flip_rotate import CropFlipRotate


def cifar10_badnets_small() -> Recipe:
    """20,000 CIFAR-10 images, BadNets, small ResNet: the paper's path at a size for two CPU cores.

    It takes under 40 minutes. To expect (n = 10,000): backdoored ACC 73 / ASR 100, D-BR 70 / 4.
    """
    model = SmallResNet()
    classifier = SupervisedConfig(model, epochs=30, milestones=(20, 26), sgd=Sgd(0.05))
    d_br = BackdoorRemoval(rounds=20, unlearn_above=0.02, sgd=Sgd(1e-3))
    d_st = SecureTraining(
        model, epochs=50, batch_size=256, warmup_epochs=5, sgd=Sgd(0.25, weight_decay=1e-4)
    )
    return Recipe(
        name="cifar10_badnets_small",
        source=Cifar10(limit=20_000),
        attack=BadNets(),
        attacker=AttackerConfig(surrogate=classifier),
        probe=ProbeConfig(model, epochs=4, intra_epochs=10),
        backdoored=classifier,
        defenses=(d_br, d_st),
    )


def cifar10_badnets_robust() -> Recipe:
    """20,000 CIFAR-10 images, BadNets, small ResNet: our detectors and a decision that counts.

    Fixed and handed patterns, the mirror filter, FCT over many draws and growing; see
    docs/detection.md. D-BR unlearns in company (D11).
    """
    robust = replace(
        cifar10_badnets_small(),
        name="cifar10_badnets_robust",
        detect=DetectConfig((FixedPattern(), HandedPattern(), Mirror(), FctDraws(), Grow())),
        decide=Evidence(patterns=("fixed_pattern",), handed=("handed_pattern",)),
    )
    return override(robust, "d_br.companions", 3)


def cifar10_badnets() -> Recipe:
    """The paper's CIFAR-10 run: 50,000 images, ResNet-18, 200 epochs; for GPUs, not run in full."""
    return Recipe(name="cifar10_badnets", source=Cifar10(), attack=BadNets())


def cifar100_badnets() -> Recipe:
    """The paper's CIFAR-100 run with BadNets; for GPUs, not measured."""
    return Recipe(
        name="cifar100_badnets",
        source=Cifar100(),
        attack=BadNets(),
        normalization=NORMALIZATIONS["cifar100"],
        probe=ProbeConfig(ResNet18NoPool()),
        backdoored=SupervisedConfig(ResNet18NoPool(), augmentation=CropFlipRotate()),
    )
