"""Trains a network to tell seeds (1) from their counterparts and from the rest (0).

Shapes: B images of a step, N samples.
"""

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.evidence_table import read_scores
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.training_set import open_training_set
from ray_defense.detectors.held_out import open_network, samples_outside
from ray_defense.detectors.pixel_noise import add_noise
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.detectors.seeds import choose_seeds, pseudo_seeds
from ray_defense.detectors.step_epochs import num_epochs_of
from ray_defense.detectors.step_training import StepInputs, endless_batches, train_steps
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs
from ray_defense.training.views import to_float
from ray_defense.transforms.compose import apply_all

if TYPE_CHECKING:
    from ray_defense.detectors.grow import GrowNetworks


def train_grow_network(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Trains the network of one fold: `model.safetensors` and `metrics.json`.

    Without seeds it is not trained, and finds every sample as much like a seed as not.
    """
    seeds, rest = learned_samples(inputs)
    num_classes = SuspectDataset(inputs.suspect.path).num_classes
    network = open_network(worker, inputs, num_classes)
    history: list[Metrics] = []
    if len(seeds) and len(rest):
        training = _GrowTraining(worker, inputs, network, seeds=seeds, rest=rest)
        num_epochs = num_epochs_of(training.config.steps)
        epochs = [partial(training.run_epoch, number) for number in range(num_epochs)]
        parts: dict[str, Stateful] = {"network": network, "optimizer": training.optimizer}
        history = run_epochs(worker, parts, epochs)
    else:
        for parameter in network.classifier.parameters():
            torch.nn.init.zeros_(parameter)
    save_weights(artifact.work / WEIGHTS, network)
    write_json(artifact.work / "metrics.json", {"history": history, "num_seeds": len(seeds)})


def learned_samples(inputs: NetworkInputs) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the seeds, or pseudo-seeds, and of the rest, outside of a fold.

    The rest of pseudo-seeds leaves the seeds themselves out: they may have a trigger that some
    pseudo-seeds have, too.
    """
    assert inputs.evidence is not None
    networks = cast("GrowNetworks", inputs.networks.training)
    index, scores_N = read_scores(inputs.evidence.path, networks.seeds.column)
    positions = choose_seeds(networks.seeds, scores_N)
    left_out = positions
    if networks.band:
        positions = pseudo_seeds(scores_N, len(positions), networks.band)
        left_out = np.concatenate((left_out, positions))
    outside = samples_outside(inputs)
    seeds = np.intersect1d(index[positions], outside)
    rest = np.setdiff1d(outside, index[left_out])
    return seeds, rest


class _GrowTraining:
    """The network of one fold, the seeds outside of it, and the rest outside of it."""

    def __init__(
        self,
        worker: Worker,
        inputs: NetworkInputs,
        network: FeatureClassifier,
        *,
        seeds: np.ndarray,
        rest: np.ndarray,
    ):
        networks = cast("GrowNetworks", inputs.networks.training)
        self.config = networks.training
        self.worker = worker
        self.inputs = inputs
        self.network = network
        self.optimizer = self.config.sgd.build(network.parameters())
        directory = inputs.suspect.path
        resident_bytes = self.config.workers.resident_bytes
        self.seeds = open_training_set(worker, directory, resident_bytes, select=seeds)
        self.rest = open_training_set(worker, directory, resident_bytes, select=rest)

    def run_epoch(self, number: int) -> Metrics:
        seeds = endless_batches(self.seeds, self._key("seeds", number), self.config.seeds_a_step)
        rest = endless_batches(self.rest, self._key("rest", number), 2 * self.config.seeds_a_step)
        return train_steps(
            self.worker,
            self.network,
            self.optimizer,
            lambda step: self._views(next(seeds), next(rest), step),
            epoch=number,
            steps=self.config.steps,
            learning_rate=self.config.sgd.learning_rate,
        )

    def _views(self, seeds: ImageBatch, rest: ImageBatch, step: int) -> StepInputs:
        """Returns the seeds, their counterparts and the rest, and which of them are seeds."""
        parts = [("seeds", to_float(seeds.images), seeds.index.numpy())]
        if self.config.counterpart:
            counterparts_BCHW = apply_all(
                self.config.counterpart,
                parts[0][1],
                self._key("counterpart", step),
                seeds.index.numpy(),
            )
            parts.append(("counterparts", counterparts_BCHW, seeds.index.numpy()))
        parts.append(("rest", to_float(rest.images), rest.index.numpy()))
        views = []
        for name, view_BCHW, index_B in parts:
            key = self._key("noise", name, step)
            views.append(add_noise(view_BCHW, self.config.noise / 255, key, index_B))
        joined_BCHW = torch.cat(views)
        is_seed_B = torch.zeros(len(joined_BCHW), dtype=torch.int64, device=joined_BCHW.device)
        is_seed_B[: len(seeds.index)] = 1
        return self.inputs.normalization.apply(joined_BCHW), is_seed_B

    def _key(self, *names: str | int) -> int:
        return stream(self.inputs.seed, self.inputs.networks.name, self.inputs.fold, *names)
