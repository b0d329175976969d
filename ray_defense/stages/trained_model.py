"""A model that a run trained, loaded from its artifact alone, ready for images in [0, 1].

Shapes: B images of size H, W; N classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ray_defense.core.config import choice, from_plain
from ray_defense.core.errors import InputError
from ray_defense.models import MODELS
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_model, num_classes_of
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.store.checked_files import checked_file
from ray_defense.store.record import RECORD, read_record
from ray_defense.training.normalization import Normalization


class ClassifierOfImages(nn.Module):
    """A trained network behind its normalization."""

    def __init__(self, network: nn.Module, normalization: Normalization):
        super().__init__()
        self.network = network
        self.normalization = normalization

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns the logits [B, N] of float images [B, 3, H, W] in [0, 1]."""
        _, logits_BN = self.network(self.normalization.apply(images_BCHW))
        logits: torch.Tensor = logits_BN
        return logits


@dataclass(frozen=True)
class _Network:
    """The configuration of a network, as a record holds it."""

    model: Any = choice(MODELS)


def load_trained_model(directory: Path) -> ClassifierOfImages:
    """Returns the model of an artifact in evaluation mode, on the CPU.

    Args:
        directory: The artifact of a model, such as `result.artifacts["d_br"]`, or the file
            `model.safetensors` in it.

    Raises:
        InputError: If there is no model of a finished run.
        DamageError: If a file of it is not what was written.
    """
    artifact = directory.parent if directory.name == WEIGHTS else directory
    if not (artifact / WEIGHTS).is_file() or not (artifact / RECORD).is_file():
        raise InputError(
            f"no model of a finished run in {str(artifact)!r}: name a folder such as "
            'result.artifacts["d_br"]'
        )
    record = read_record(artifact)
    described = record["config"]
    network = from_plain(_Network, {"model": _network_of(artifact, record)})
    normalization = from_plain(Normalization, described["normalization"])
    num_classes = num_classes_of(artifact / WEIGHTS)
    model = load_model(checked_file(artifact / WEIGHTS), network.model, num_classes)
    return ClassifierOfImages(model, normalization).eval()


def _network_of(artifact: Path, record: Mapping[str, Any]) -> Any:
    """Returns the network of a record; a repaired model has that of the backdoored one."""
    model = record["config"]["config"].get("model")
    if model is not None:
        return model
    key = record["inputs"].get(BACKDOORED)
    repaired = artifact.parent.parent / BACKDOORED / str(key)
    if key is None or not (repaired / RECORD).is_file():
        raise InputError(
            f"{str(artifact)!r} repairs a model that is not beside it any more: keep the folder "
            f"{BACKDOORED} of its store"
        )
    return _network_of(repaired, read_record(repaired))
