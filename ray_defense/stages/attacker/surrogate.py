"""clean images --surrogate--> the attacker's own classifier of them, into which Trojan and CL look."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from ray_defense.execution.local import best_device
from ray_defense.execution.protocols import TrainJob
from ray_defense.models import FeatureClassifier, build_model, load_weights
from ray_defense.stages import backdoored as backdoor
from ray_defense.stages.attacker.material import Material
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import to_device
from ray_defense.training.views import Normalization

Classifier = Callable[[torch.Tensor], torch.Tensor]  # float [B, 3, H, W] in [0, 1] -> logits [B, N]


def job(config: Backdoor, clean: Artifact, context: Context) -> TrainJob:
    """Returns the training job of the surrogate on the shards `clean`."""
    return backdoor.job(config, clean, context, stage="surrogate")


def material(artifact: Artifact, config: Backdoor, num_classes: int, context: Context) -> Material:
    """Returns the surrogate as what `stamp` is given: a `Classifier`."""
    return Material(artifact, partial(load, artifact.path, config.model, num_classes, context.normalization))


@lru_cache(maxsize=2)
def load(path: Path, model: Any, num_classes: int, normalization: Normalization) -> Classifier:
    """Returns the surrogate at `path` as a function of images in [0, 1] (D6: it sees them normalized)."""
    network, device = load_network(path, model, num_classes), best_device()
    return lambda images_BCHW: network(normalization.apply(images_BCHW.to(device)))[1]


def load_network(path: Path, model: Any, num_classes: int) -> FeatureClassifier:
    """Returns the surrogate's network in eval mode, its weights without gradient."""
    network = build_model(model, num_classes, 0)
    load_weights(path / "model.safetensors", network)
    return to_device(network, best_device()).eval().requires_grad_(False)
