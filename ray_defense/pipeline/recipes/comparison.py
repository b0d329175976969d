"""The paper's comparison: D-BR, D-ST and the baselines on one dataset, at two scales."""

from dataclasses import replace

from ray_defense.defenses.abl import AntiBackdoorLearning
from ray_defense.defenses.anp import NeuronPruning
from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline
from ray_defense.defenses.dbd import Decoupling
from ray_defense.defenses.ft import FineTuning
from ray_defense.defenses.mcr import ModeConnectivityRepair
from ray_defense.defenses.nad import AttentionDistillation
from ray_defense.defenses.protocol import Defense
from ray_defense.defenses.simclr import SimClr
from ray_defense.defenses.supcon import SupCon
from ray_defense.models.protocol import Model
from ray_defense.models.resnet18 import ResNet18ImageNet, ResNet18NoPool
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes.cifar import (
    cifar10_badnets,
    cifar10_badnets_robust,
    cifar10_badnets_small,
    cifar100_badnets,
)
from ray_defense.pipeline.recipes.imagenet200 import imagenet200_badnets
from ray_defense.training.settings import Sgd
from ray_defense.transforms.crop_flip_rotate import CropFlipRotate
from ray_defense.transforms.rotate_flip import RotateFlip


def cifar10_comparison_small() -> Recipe:
    """20,000 CIFAR-10 images, small ResNet: all defenses of the paper's Tables 1 and 2; hours.

    Every method that trains from scratch gets the epochs of D-ST, and ABL those of the backdoored
    model. The split is the paper's.
    """
    return _compared(cifar10_badnets_small(), "cifar10_comparison_small", _small_baselines())


def cifar10_comparison_small_robust() -> Recipe:
    """The same with the split of the chosen detectors and of a decision that counts."""
    robust = cifar10_badnets_robust()
    base = replace(cifar10_badnets_small(), detect=robust.detect, decide=robust.decide)
    return _compared(base, "cifar10_comparison_small_robust", _small_baselines())


def cifar10_comparison() -> Recipe:
    """The paper's Tables 1 and 2 on CIFAR-10: ResNet-18, all epochs; for GPUs, not measured."""
    return _compared(cifar10_badnets(), "cifar10_comparison", _paper_baselines())


def cifar10_comparison_robust() -> Recipe:
    """The same with the split of the chosen detectors; for GPUs, not measured."""
    robust = cifar10_badnets_robust()
    base = replace(cifar10_badnets(), detect=robust.detect, decide=robust.decide)
    return _compared(base, "cifar10_comparison_robust", _paper_baselines())


def cifar100_comparison() -> Recipe:
    """The paper's Tables 1 and 2 on CIFAR-100; for GPUs, not measured."""
    model = ResNet18NoPool()
    baselines: tuple[Defense, ...] = (
        *_clean_repairs(),
        AntiBackdoorLearning(model, augmentation=CropFlipRotate()),
        SimClr(model),
        SupCon(model),
        Decoupling(model),
    )
    return _compared(cifar100_badnets(), "cifar100_comparison", baselines)


def imagenet200_comparison() -> Recipe:
    """The paper's Table 5: `--set source.path=DIR`; for GPUs, not measured."""
    baselines = (
        FineTuning(),
        AttentionDistillation(),
        AntiBackdoorLearning(
            ResNet18ImageNet(), augmentation=RotateFlip(), cutout_fraction=0.0, batch_size=64
        ),
    )
    return _compared(imagenet200_badnets(), "imagenet200_comparison", baselines)


def _compared(base: Recipe, name: str, baselines: tuple[Defense, ...]) -> Recipe:
    return replace(base, name=name, defenses=(*base.defenses, *baselines))


def _clean_repairs() -> tuple[Defense, ...]:
    return (FineTuning(), NeuronPruning(), AttentionDistillation(), ModeConnectivityRepair())


def _paper_baselines() -> tuple[Defense, ...]:
    return (*_clean_repairs(), AntiBackdoorLearning(), SimClr(), SupCon(), Decoupling())


def _small_baselines() -> tuple[Defense, ...]:
    """Returns the baselines for 20,000 images and a network of 78 thousand weights."""
    model = SmallResNet()
    return (
        FineTuning(batch_size=64),
        NeuronPruning(steps=1000),
        AttentionDistillation(sgd=Sgd(0.05)),
        ModeConnectivityRepair(batch_size=64),
        AntiBackdoorLearning(
            model, tuning_epochs=10, finetuning_epochs=30, milestones=(20, 26), batch_size=128
        ),
        _small_contrastive(SimClr, model),
        _small_contrastive(SupCon, model),
        Decoupling(
            model,
            epochs=50,
            batch_size=256,
            sgd=Sgd(0.2, weight_decay=1e-4),
            mixmatch_epochs=10,
            mixmatch_steps=156,
        ),
    )


def _small_contrastive(baseline: type[ContrastiveBaseline], model: Model) -> ContrastiveBaseline:
    return baseline(
        model, epochs=50, batch_size=256, warmup_epochs=5, sgd=Sgd(0.25, weight_decay=1e-4)
    )
