"""Gradient ascent on trusted samples until a backdoored model no longer knows them (RNP)."""

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.evidence_table import read_scores
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.training_set import open_training_set
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import unlearning
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_model, save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file
from ray_defense.training.loop import (
    RunningMean,
    Stateful,
    autocast,
    run_epochs,
    to_device,
)
from ray_defense.training.supervised import measure_accuracy
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.detectors.unlearning_margin import UnlearningMargin


def unlearn_clean_samples(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    """Unlearns a class-balanced part of the lowest scores: `model.safetensors`, `metrics.json`."""
    training = _CleanUnlearning(worker, inputs)
    epochs = [partial(training.run_epoch, number) for number in range(training.config.max_epochs)]
    parts: dict[str, Stateful] = {"network": training.network, "optimizer": training.optimizer}
    history = run_epochs(worker, parts, epochs)
    save_weights(artifact.work / WEIGHTS, training.network)
    write_json(artifact.work / "metrics.json", {"history": history})


def lowest_of_each_label(
    scores_N: np.ndarray, labels_N: np.ndarray, num_samples: int
) -> np.ndarray:
    """Returns the positions of the lowest scores, as many of every label as of the others.

    A label with fewer samples gives all that it has.

    Args:
        scores_N: Finite scores.
        labels_N: Labels as received, int.
        num_samples: How many there are over all labels, at most; at least one of each.

    Returns:
        int64, ascending.
    """
    labels = np.unique(labels_N)
    num_of_each = max(1, num_samples // len(labels))
    chosen = []
    for label in labels:
        members = np.flatnonzero(labels_N == label)
        order = np.argsort(scores_N[members], kind="stable")
        chosen.append(members[order[:num_of_each]])
    return np.sort(np.concatenate(chosen))


class _CleanUnlearning:
    """The backdoored model, and the samples that it unlearns."""

    def __init__(self, worker: Worker, inputs: NetworkInputs):
        assert inputs.evidence is not None and inputs.start is not None
        self.config = cast("UnlearningMargin", inputs.networks.training)
        self.worker = worker
        self.inputs = inputs
        dataset = SuspectDataset(inputs.suspect.path)
        index, scores_N = read_scores(inputs.evidence.path, self.config.follows)
        chosen = lowest_of_each_label(scores_N, dataset.labels, self.config.num_unlearned)
        self.data = open_training_set(
            worker,
            inputs.suspect.path,
            self.config.workers.resident_bytes,
            select=index[chosen],
        )
        (file,) = inputs.start.files
        loaded = load_model(checked_file(file), inputs.start.network, dataset.num_classes)
        self.network = to_device(loaded, worker.device)
        self.optimizer = self.config.sgd.build(self.network.parameters())
        self.view = partial(make_view, key=0, transforms=(), normalization=inputs.normalization)

    def run_epoch(self, number: int) -> Metrics:
        """Unlearns the samples once more, unless they are unlearned already."""
        accuracy = self._accuracy()
        if accuracy <= self.config.max_accuracy:
            return {"accuracy": accuracy}
        self.network.train()
        mean_loss = RunningMean(self.worker)
        key = stream(self.inputs.seed, self.inputs.networks.name, "order", number)
        for batch in self.data.epoch(key, self.config.batch_size):
            with autocast(self.worker.device):
                _, logits_BN = self.network(self.view(batch.images, batch.index.numpy()))
            loss = unlearning(logits_BN.float(), batch.labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
            self.optimizer.step()
            mean_loss.add(loss * len(batch.labels), len(batch.labels))
        return {"loss": mean_loss.value(), "accuracy": self._accuracy()}

    def _accuracy(self) -> float:
        batches = self.data.epoch(0, self.config.batch_size)
        return measure_accuracy(self.worker, self.network, batches, self.view)
