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
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import RunningMean, Stateful, autocast, run_epochs, take_step
from ray_defense.training.schedules import cosine_decay, set_rate
from ray_defense.training.views import to_float
from ray_defense.transforms.compose import apply_all

if TYPE_CHECKING:
    from ray_defense.detectors.symmetry import SymmetryNetworks


def train_symmetry_network(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Trains the network of one fold: `model.safetensors` and `metrics.json`."""
    training = _SymmetryTraining(worker, inputs)
    epochs = [partial(training.run_epoch, number) for number in range(training.config.epochs)]
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
        self.network.train()
        mean_loss = RunningMean(self.worker)
        accuracy = RunningMean(self.worker)
        num_steps = self.data.num_steps(self.config.batch_size)
        num_all_steps = num_steps * self.config.epochs
        batches = self.data.epoch(self._key("order", number), self.config.batch_size)
        for step, batch in enumerate(batches, start=number * num_steps):
            rate = cosine_decay(self.config.sgd.learning_rate, step / num_all_steps)
            set_rate(self.optimizer, rate)
            views_MCHW, is_original_M = self._views(batch, number)
            with autocast(self.worker.device):
                _, logits_MN = self.network(views_MCHW)
            loss = cross_entropy(logits_MN.float(), is_original_M)
            take_step(loss, self.optimizer)
            num_views = len(is_original_M)
            mean_loss.add(loss * num_views, num_views)
            accuracy.add((logits_MN.argmax(1) == is_original_M).sum(), num_views)
        return {"loss": mean_loss.value(), "accuracy": accuracy.value()}

    def _views(self, batch: ImageBatch, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the images as they are, then after the symmetry, and which is which."""
        index_B: np.ndarray = batch.index.numpy()
        images_BCHW = to_float(batch.images)
        views = []
        for name, transforms in (("original", self.original), ("moved", self.symmetry)):
            view_BCHW = apply_all(transforms, images_BCHW, self._key(name, epoch), index_B)
            key = self._key("noise", name, epoch)
            views.append(add_noise(view_BCHW, self.config.noise / 255, key, index_B))
        is_original_M = torch.zeros(2 * len(index_B), dtype=torch.int64, device=batch.images.device)
        is_original_M[: len(index_B)] = 1
        return self.inputs.normalization.apply(torch.cat(views)), is_original_M

    def _key(self, *names: str | int) -> int:
        return stream(self.inputs.seed, self.inputs.networks.name, self.inputs.fold, *names)
