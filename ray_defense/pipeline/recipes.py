"""Complete named runs: each function returns the whole typed configuration and says what it costs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ray_defense.attacks import ATTACKS, BadNets, BlendSignal
from ray_defense.core.errors import look_up
from ray_defense.data.sources import Cifar10, Cifar100, Digits, ImageFolder, ImageNet200
from ray_defense.defenses import BackdoorRemoval, SecureTraining
from ray_defense.models import ResNet18ImageNet, ResNet18NoPool, SmallResNet
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.stages.attacker.encoder import Encoder
from ray_defense.stages.attacker.prepare import Attacker
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.ingest import Shard
from ray_defense.stages.probe import Probe
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.views import NORMALIZATIONS
from ray_defense.transforms import Contrastive, Crop, CropFlipRotate, RotateFlip


def digits_badnets() -> Recipe:
    """The demo: scikit-learn's digits, BadNets, small ResNet; about three minutes on two CPU cores.

    Few images make few steps an epoch, so epochs and D-BR's rate are higher than the paper's; digits are never mirrored.
    """
    model, one = SmallResNet(), Workers(cpus_per_worker=1)  # batches this small gain nothing from a second thread
    backdoor = Backdoor(model, epochs=40, milestones=(25, 35), batch_size=64, sgd=Sgd(0.02), augmentation=Crop(), workers=one)
    return Recipe(
        name="digits_badnets",
        source=Digits(),
        attack=BadNets(),
        attacker=Attacker(surrogate=backdoor, encoder=Encoder(epochs=40, workers=one)),
        shard=Shard(shard_size=500),
        normalization=NORMALIZATIONS["half"],
        probe=Probe(model, epochs=25, intra_epochs=40, batch_size=64, workers=one),
        backdoor=backdoor,
        d_br=BackdoorRemoval(rounds=30, unlearn_above=0.02, batch_size=64, sgd=Sgd(1e-3), workers=one),
        d_st=SecureTraining(
            model,
            epochs=60,
            batch_size=128,
            warmup_epochs=5,
            sgd=Sgd(0.2, weight_decay=1e-4),
            augmentation=Contrastive(flip=False, min_area_fraction=0.5),
            classifier_batch_size=128,
            classifier_augmentation=Crop(),
            workers=one,
        ),
    )


def digits_blend() -> Recipe:
    """The demo's setting with Blend-Signal, a trigger as large as the image."""
    return _named(digits_badnets(), "digits_blend", attack=BlendSignal())


def cifar10_badnets_small() -> Recipe:
    """20,000 CIFAR-10 images, BadNets, small ResNet: the paper's path at a size for two CPU cores (under 40 minutes)."""
    model = SmallResNet()
    backdoor = Backdoor(model, epochs=30, milestones=(20, 26), sgd=Sgd(0.05))
    return Recipe(
        name="cifar10_badnets_small",
        source=Cifar10(limit=20_000),
        attack=BadNets(),
        attacker=Attacker(surrogate=backdoor),
        probe=Probe(model, epochs=4, intra_epochs=10),
        backdoor=backdoor,
        d_br=BackdoorRemoval(rounds=20, unlearn_above=0.02, sgd=Sgd(1e-3)),
        d_st=SecureTraining(model, epochs=50, batch_size=256, warmup_epochs=5, sgd=Sgd(0.25, weight_decay=1e-4)),
    )


def cifar10_badnets() -> Recipe:
    """The paper's CIFAR-10 run: 50,000 images, ResNet-18, 200 epochs; for GPUs, not measured here yet."""
    return Recipe(name="cifar10_badnets", source=Cifar10(), attack=BadNets())


def cifar100_badnets() -> Recipe:
    """The paper's CIFAR-100 run with BadNets; for GPUs, not measured here yet."""
    return Recipe(
        name="cifar100_badnets",
        source=Cifar100(),
        attack=BadNets(),
        normalization=NORMALIZATIONS["cifar100"],
        probe=Probe(ResNet18NoPool()),
        backdoor=Backdoor(ResNet18NoPool(), augmentation=CropFlipRotate()),
    )


def imagenet200_badnets() -> Recipe:
    """The paper's ImageNet subset with BadNets and D-BR at 224 pixels: `--set source.path=DIR`; for GPUs, not measured yet.

    Trained from scratch, where the authors start from ImageNet weights. Shards hold JPEG pages of quality 90. The paper has
    no D-ST here.
    """
    model = ResNet18ImageNet()
    backdoor = Backdoor(model, epochs=25, milestones=(15, 20), sgd=Sgd(1e-3, weight_decay=1e-4), augmentation=RotateFlip())
    return Recipe(
        name="imagenet200_badnets",
        source=ImageNet200(),
        attack=BadNets(),
        attacker=Attacker(surrogate=backdoor),
        shard=Shard(500, jpeg_quality=90),
        normalization=NORMALIZATIONS["imagenet"],
        probe=Probe(model),
        backdoor=backdoor,
        d_st=None,
    )


def imagenet200_badnets_64() -> Recipe:
    """The same at 64 pixels, raw."""
    return _named(imagenet200_badnets(), "imagenet200_badnets_64", source=ImageNet200(size=64), shard=Shard(1000))


def folder() -> Recipe:
    """Your own images, nobody's poison but what may already be there: `--set source.path=DIR`; no truth, no ASR.

    Small ResNet at 32x32 and step counts for some thousand images: raise `probe.epochs` if a note asks for it.
    """
    small = cifar10_badnets_small()
    return _named(small, "folder", source=ImageFolder(), attack=None, probe=Probe(SmallResNet(), epochs=10, intra_epochs=10))


def _named(recipe: Recipe, name: str, **changes: object) -> Recipe:
    return replace(recipe, name=name, **changes)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "digits_badnets": digits_badnets,
    "digits_blend": digits_blend,
    "cifar10_badnets_small": cifar10_badnets_small,
    "cifar10_badnets": cifar10_badnets,
    "cifar100_badnets": cifar100_badnets,
    "imagenet200_badnets": imagenet200_badnets,
    "imagenet200_badnets_64": imagenet200_badnets_64,
    "folder": folder,
}


@dataclass(frozen=True)
class NamedSweep:
    """A figure or table of the paper as a sweep over any recipe."""

    shows: str
    axes: tuple[str, ...]  # as `stages.trials.parse_axis` reads them
    changes: tuple[tuple[str, str], ...] = ()  # to the recipe, before


_SCORES_ONLY = (("d_br", "none"), ("d_st", "none"), ("backdoor", "none"))

SWEEPS: dict[str, NamedSweep] = {
    "transforms": NamedSweep("App. E, Fig. 11: the 36 pairs of transforms", ("score.tau=all-pairs",), _SCORES_ONLY),
    "proportions": NamedSweep(
        "App. F: alpha_c x alpha_p",
        ("split.clean_fraction=0.05,0.1,0.2,0.3,0.4,0.5", "split.poison_fraction=0.01,0.02,0.05,0.08,0.1,0.2"),
        _SCORES_ONLY,
    ),
    "rates": NamedSweep("App. G: poisoning rates", ("poison.rate=0.01,0.05,0.1,0.2",)),
    "architectures": NamedSweep(
        "App. H: architectures", ("probe.model+backdoor.model+d_st.model=small_resnet,resnet18,resnet18_no_pool",)
    ),
    "widths": NamedSweep(
        "App. H: feature dimensionalities of the small ResNet",
        ("probe.model.width+backdoor.model.width+d_st.model.width=4,8,16,32",),
        tuple((f"{stage}.model", "small_resnet") for stage in ("probe", "backdoor", "d_st")),
    ),
    "d_br": NamedSweep(
        "Fig. 5: unlearning, relearning, both", ("d_br.steps=unlearn;relearn;unlearn,relearn",), (("d_st", "none"),)
    ),
    "extractor": NamedSweep("Table 3: CTL, S-CTL, SS-CTL", ("d_st.labels_used=none,all,trusted",), (("d_br", "none"),)),
    "lambda_p": NamedSweep("Fig. 6: lambda_p", ("d_st.poisoned_weight=0.0,0.001,0.01,0.1,1.0",), (("d_br", "none"),)),
    "attacks": NamedSweep("the tables' attacks", (f"attack={','.join(ATTACKS)}",)),
    "seeds": NamedSweep("what varies from seed to seed", ("seed=0,1,2,3,4",)),
}


def recipe(name: str) -> Recipe:
    """Returns the recipe of that name; raises Refused with the nearest known name."""
    return look_up(RECIPES, "recipe", name)()
