"""Runs on scikit-learn's digits: a real dataset that needs no download."""

from dataclasses import replace

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.data.sources.digits import Digits
from ray_defense.defenses.abl import AntiBackdoorLearning
from ray_defense.defenses.anp import NeuronPruning
from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.defenses.dbd import Decoupling
from ray_defense.defenses.ft import FineTuning
from ray_defense.defenses.mcr import ModeConnectivityRepair
from ray_defense.defenses.nad import AttentionDistillation
from ray_defense.defenses.simclr import SimClr
from ray_defense.defenses.supcon import SupCon
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig
from ray_defense.stages.clean_share import CleanShareConfig
from ray_defense.stages.ingest import IngestConfig
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.crop import Crop


def digits_badnets() -> Recipe:
    """The demo: scikit-learn's digits, BadNets, small ResNet; three minutes on two CPU cores.

    Few images make few steps an epoch, so epochs and D-BR's rate are higher than the paper's.
    Digits are never mirrored. To expect (n = 359): backdoored ACC 99 / ASR 98, D-BR 98 / 1.
    """
    model = SmallResNet()
    # Batches this small gain nothing from a second thread.
    one_thread = WorkerGroup(cpus_per_worker=1)
    classifier = SupervisedConfig(
        model,
        epochs=40,
        milestones=(25, 35),
        batch_size=64,
        sgd=Sgd(0.02),
        augmentation=Crop(),
        workers=one_thread,
    )
    d_br = BackdoorRemoval(
        rounds=30, unlearn_above=0.02, batch_size=64, sgd=Sgd(1e-3), workers=one_thread
    )
    d_st = SecureTraining(
        model,
        epochs=60,
        batch_size=128,
        warmup_epochs=5,
        sgd=Sgd(0.2, weight_decay=1e-4),
        augmentation=Contrastive(flip=False, min_area_fraction=0.5),
        classifier_batch_size=128,
        classifier_augmentation=Crop(),
        workers=one_thread,
    )
    return Recipe(
        name="digits_badnets",
        source=Digits(),
        attack=BadNets(),
        attacker=AttackerConfig(
            surrogate=classifier, encoder=SsbaEncoderConfig(epochs=40, workers=one_thread)
        ),
        ingest=IngestConfig(shard_size=500),
        normalization=NORMALIZATIONS["half"],
        probe=ProbeConfig(model, epochs=25, intra_epochs=40, batch_size=64, workers=one_thread),
        backdoored=classifier,
        defenses=(d_br, d_st),
    )


def digits_blend() -> Recipe:
    """The demo's setting with Blend-Signal, a trigger as large as the image."""
    return replace(digits_badnets(), name="digits_blend", attack=BlendSignal())


def digits_baselines() -> Recipe:
    """The demo's setting with the baselines of the paper as defenses, sized for few images.

    5 % of the source, 7 images a class, are known as clean. As few images make few steps, most
    baselines take more epochs than their papers, and those that start with contrastive learning
    fewer.
    """
    model = SmallResNet()
    one_thread = WorkerGroup(cpus_per_worker=1)
    views = Contrastive(flip=False, min_area_fraction=0.5)
    defenses = (
        FineTuning(batch_size=32, workers=one_thread),
        NeuronPruning(steps=1000, batch_size=64, workers=one_thread),
        AttentionDistillation(
            teacher_epochs=40,
            epochs=80,
            batch_size=32,
            sgd=Sgd(0.05),
            milestones=(20,),
            workers=one_thread,
        ),
        ModeConnectivityRepair(batch_size=32, workers=one_thread),
        AntiBackdoorLearning(
            model,
            finetuning_epochs=40,
            milestones=(25, 35),
            unlearning_epochs=40,
            augmentation=Crop(),
            workers=one_thread,
        ),
        _contrastive_baseline(SimClr, views),
        _contrastive_baseline(SupCon, views),
        Decoupling(
            model,
            epochs=60,
            batch_size=128,
            augmentation=views,
            classifier_augmentation=Crop(),
            mixmatch_epochs=20,
            mixmatch_steps=50,
            workers=one_thread,
        ),
    )
    return replace(
        digits_badnets(),
        name="digits_baselines",
        clean=CleanShareConfig(0.05),
        defenses=defenses,
    )


def _contrastive_baseline(
    baseline: type[ContrastiveBaseline], views: Contrastive
) -> ContrastiveBaseline:
    return baseline(
        SmallResNet(),
        epochs=60,
        batch_size=128,
        warmup_epochs=5,
        sgd=Sgd(0.2, weight_decay=1e-4),
        augmentation=views,
        classifier_batch_size=128,
        classifier_augmentation=Crop(),
        workers=WorkerGroup(cpus_per_worker=1),
    )
