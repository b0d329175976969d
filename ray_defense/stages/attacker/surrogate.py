"""clean images --surrogate--> the attacker's own classifier, which Trojan and CL look into."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ray_defense.execution.steps import Step
from ray_defense.models.protocol import Model
from ray_defense.stages.attacker.prepared_attack import AttackAsset
from ray_defense.stages.backdoored import classifier_step
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import SupervisedConfig

if TYPE_CHECKING:
    import torch

    from ray_defense.models.classifier import FeatureClassifier

    Classifier = Callable[[torch.Tensor], torch.Tensor]  # [B, 3, H, W] in [0, 1] -> logits [B, N]


def surrogate_step(config: SupervisedConfig, clean: Step, context: PlanContext) -> Step:
    """Returns the step that trains the surrogate on the clean dataset."""
    return classifier_step("surrogate", config, clean, context)


def surrogate_asset(
    artifact: Artifact, config: SupervisedConfig, num_classes: int, context: PlanContext
) -> AttackAsset:
    """Returns the surrogate as what `stamp` is given: a function of images in [0, 1]."""
    load = partial(
        load_surrogate,
        artifact.path,
        config.model,
        num_classes,
        normalization=context.normalization,
    )
    return AttackAsset(artifact, load)


@lru_cache(maxsize=2)
def load_surrogate(
    path: Path, model: Model, num_classes: int, normalization: Normalization
) -> "Classifier":
    """Returns the surrogate at `path` as a function of images in [0, 1].

    It sees them normalized (D6).
    """
    from ray_defense.execution.device import best_device

    network = load_surrogate_network(path, model, num_classes)
    device = best_device()

    def classify(images_BCHW: "torch.Tensor") -> "torch.Tensor":
        logits_BN: torch.Tensor
        _, logits_BN = network(normalization.apply(images_BCHW.to(device)))
        return logits_BN

    return classify


def load_surrogate_network(path: Path, model: Model, num_classes: int) -> "FeatureClassifier":
    """Returns the surrogate's network in eval mode, its weights without gradient."""
    from ray_defense.execution.device import best_device
    from ray_defense.models.file_names import WEIGHTS
    from ray_defense.models.weights import load_model
    from ray_defense.training.loop import to_device

    network = load_model(checked_file(path / WEIGHTS), model, num_classes)
    return to_device(network, best_device()).eval().requires_grad_(False)
