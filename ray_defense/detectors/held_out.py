"""Networks that must not see their fold: what they learn from, and their initial weights."""

import numpy as np

from ray_defense.core.random import stream
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Worker
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.seeded import build_model
from ray_defense.training.loop import to_device


def samples_outside(inputs: NetworkInputs) -> np.ndarray:
    """Returns the indices of the samples that a network may learn from, ascending.

    With a single fold these are all samples.
    """
    index: np.ndarray = SuspectDataset(inputs.suspect.path).index
    networks = inputs.networks
    if networks.num_folds == 1:
        return index
    fold = folds_of(index, fold_key(inputs.seed, networks.name), networks.num_folds)
    outside: np.ndarray = index[fold != inputs.fold]
    return outside


def open_network(worker: Worker, inputs: NetworkInputs, num_classes: int) -> FeatureClassifier:
    """Returns the network of a fold with its initial weights, on the device of a worker.

    Args:
        worker: This training process.
        inputs: What is trained.
        num_classes: Of the dataset, which counts where the networks do not say their own.
    """
    networks = inputs.networks
    assert networks.network is not None
    key = stream(inputs.seed, networks.name, inputs.fold, "weights")
    built = build_model(networks.network, networks.num_classes or num_classes, key)
    return to_device(built, worker.device)
