"""How many labels of the trusted and of the flagged samples a model predicts, as received."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ray_defense.data.split_table import read_split
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.device import best_device, torch_threads
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.protocol import Model
from ray_defense.models.weights import load_model
from ray_defense.store.checked_files import checked_file
from ray_defense.training.loop import to_device
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import to_float

_PARTS = ("trusted", "flagged")
_BATCH_SIZE = 256
_THREADS = 2


@dataclass(frozen=True)
class AgreementInputs:
    """A model and a split; plain data that travels to a worker."""

    network: Model
    weights: Path
    suspect: Path
    split: Path
    normalization: Normalization


@torch.no_grad()
def measure_agreement(inputs: AgreementInputs) -> dict[str, float]:
    """Returns the share of labels that a model predicts of each part of a split.

    Returns:
        By "trusted" and "flagged", in [0, 1]; a part without samples is left out.
    """
    dataset = SuspectDataset(inputs.suspect)
    table = read_split(inputs.split)
    device = best_device()
    model = load_model(checked_file(inputs.weights), inputs.network, dataset.num_classes)
    model = to_device(model, device).eval()
    shares = {}
    with torch_threads(_THREADS):
        for part in _PARTS:
            positions = dataset.locate(table.members(part))
            if len(positions):
                num_right = 0
                for start in range(0, len(positions), _BATCH_SIZE):
                    chosen = positions[start : start + _BATCH_SIZE]
                    predicted = _predict(model, dataset.read_images(chosen), inputs.normalization)
                    num_right += int((predicted == dataset.labels[chosen]).sum())
                shares[part] = num_right / len(positions)
    return shares


def _predict(
    model: FeatureClassifier, images_NHWC: np.ndarray, normalization: Normalization
) -> np.ndarray:
    device = model.classifier.weight.device
    images = to_float(torch.from_numpy(images_NHWC).to(device))
    _, logits_BN = model(normalization.apply(images))
    predicted: np.ndarray = logits_BN.argmax(1).cpu().numpy()
    return predicted


def agreement_in_words(shares: Sequence[dict[str, float]], counts: dict[str, int]) -> str:
    """Returns a sentence about a model before and after its repair.

    Args:
        shares: What `measure_agreement` returned before, and after.
        counts: The samples of each part of the split.
    """
    before, after = shares
    parts = []
    for part in _PARTS:
        if part in before:
            parts.append(
                f"{before[part]:.0%} of the labels of the {counts[part]} {part} samples before the "
                f"repair and {after[part]:.0%} after it"
            )
    return f"the model predicts {'; '.join(parts)}"
