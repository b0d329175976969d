"""Trains a network on the labels as received, without one fold of the samples."""

from functools import partial
from typing import TYPE_CHECKING, cast

import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.training_set import open_training_set
from ray_defense.detectors.held_out import open_network, samples_outside
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.scores.local_gradient_ascent import local_gradient_ascent_loss
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs
from ray_defense.training.schedules import cosine_decay, set_rate
from ray_defense.training.supervised import train_epoch
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.detectors.label_networks import LabelNetworks


def train_label_network(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Trains the network of one fold: `model.safetensors` and `metrics.json`."""
    settings = cast("LabelNetworks", inputs.networks.training)
    config = settings.training
    data = open_training_set(
        worker,
        inputs.suspect.path,
        config.workers.resident_bytes,
        select=samples_outside(inputs),
    )
    network = open_network(worker, inputs, data.num_classes)
    optimizer = config.sgd.build(network.parameters())

    def key(*names: str | int) -> int:
        return stream(inputs.seed, inputs.networks.name, inputs.fold, *names)

    def loss(logits_BN: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        if settings.loss == "local_gradient_ascent":
            return local_gradient_ascent_loss(logits_BN, labels_B, settings.gamma)
        return cross_entropy(logits_BN, labels_B)

    def run_epoch(number: int) -> Metrics:
        set_rate(optimizer, cosine_decay(config.sgd.learning_rate, number / config.epochs))
        view = partial(
            make_view,
            key=key("view", number),
            transforms=settings.augmentation,
            normalization=inputs.normalization,
        )
        batches = data.epoch(key("order", number), config.batch_size)
        return train_epoch(worker, network, optimizer, batches, view, loss)

    epochs = [partial(run_epoch, number) for number in range(config.epochs)]
    parts: dict[str, Stateful] = {"network": network, "optimizer": optimizer}
    history = run_epochs(worker, parts, epochs)
    save_weights(artifact.work / WEIGHTS, network)
    write_json(artifact.work / "metrics.json", {"history": history})
