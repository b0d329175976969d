"""Runs on the user's own images, which nobody poisoned for us."""

from dataclasses import replace

from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes.cifar import cifar10_badnets_robust


def folder() -> Recipe:
    """Your own class folders: `--set source.path=DIR`; a verdict, and no truth, so no ASR.

    Images become 32x32 for a small ResNet, with steps for some thousand images: raise
    `probe.epochs` if a note asks for it.
    """
    return replace(
        cifar10_badnets_robust(),
        name="folder",
        source=ImageFolder(),
        attack=None,
        probe=ProbeConfig(SmallResNet(), epochs=10, intra_epochs=10),
    )
