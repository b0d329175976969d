"""Trains a network to tell images as they are (1) from what a symmetry makes of them (0).

Shapes: B images, M = 2B views.
"""

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import open_training_set
from ray_defense.detectors.held_out import open_network, samples_outside
from ray_defense.detectors.pixel_noise import add_noise
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.detectors.step_epochs import num_epochs_of
from ray_defense.detectors.step_training import StepInputs, endless_batches, train_steps
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs
from ray_defense.training.views import to_float
from ray_defense.transforms.compose import apply_all

if TYPE_CHECKING:
    from ray_defense.detectors.symmetry import SymmetryNetworks


def train_symmetry_network(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Trains the network of one fold: `model.safetensors` and `metrics.json`."""
    training = _SymmetryTraining(worker, inputs)
    num_epochs = num_epochs_of(training.config.steps)
    epochs = [partial(training.run_epoch, number) for number in range(num_epochs)]
    parts: dict[str, Stateful] = {"network": training.network, "optimizer": training.optimizer}
    history = run_epochs(worker, parts, epochs)
    save_weights(artifact.work / WEIGHTS, training.network)
    write_json(artifact.work / "metrics.json", {"history": history})


class _SymmetryTraining:
    """The network of one fold, and the samples outside of it."""

    def __init__(self, worker: Worker, inputs: NetworkInputs):
        networks = cast("SymmetryNetworks", inputs.networks.training)
        self.original = networks.original
        self.symmetry = networks.symmetry
        self.config = networks.training
        self.worker = worker
        self.inputs = inputs
        self.data = open_training_set(
            worker,
            inputs.suspect.path,
            self.config.workers.resident_bytes,
            select=samples_outside(inputs),
        )
        self.network = open_network(worker, inputs, self.data.num_classes)
        self.optimizer = self.config.sgd.build(self.network.parameters())

    def run_epoch(self, number: int) -> Metrics:
        batches = endless_batches(self.data, self._key("order", number), self.config.batch_size)
        return train_steps(
            self.worker,
            self.network,
            self.optimizer,
            lambda step: self._views(next(batches), step),
            epoch=number,
            steps=self.config.steps,
            learning_rate=self.config.sgd.learning_rate,
        )

    def _views(self, batch: ImageBatch, step: int) -> StepInputs:
        """Returns the images as they are, then after the symmetry, and which is which."""
        index_B: np.ndarray = batch.index.numpy()
        images_BCHW = to_float(batch.images)
        views = []
        for name, transforms in (("original", self.original), ("moved", self.symmetry)):
            view_BCHW = apply_all(transforms, images_BCHW, self._key(name, step), index_B)
            key = self._key("noise", name, step)
            views.append(add_noise(view_BCHW, self.config.noise / 255, key, index_B))
        is_original_M = torch.zeros(2 * len(index_B), dtype=torch.int64, device=batch.images.device)
        is_original_M[: len(index_B)] = 1
        return self.inputs.normalization.apply(torch.cat(views)), is_original_M

    def _key(self, *names: str | int) -> int:
        return stream(self.inputs.seed, self.inputs.networks.name, self.inputs.fold, *names)
