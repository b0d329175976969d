"""Trains the probe: cross-entropy, then the intra-class loss of Eq. (8) (Algorithm 2)."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare, open_training_set
from ray_defense.detectors.probe import EPOCHS_FOLDER, ProbeConfig, ProbeInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.class_centers import class_center_similarity
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import load_weights, save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file
from ray_defense.store.written_files import note_written
from ray_defense.training.loop import RunningMean, autocast, run_epochs, take_step, to_device
from ray_defense.training.supervised import measure_accuracy, train_epoch
from ray_defense.training.views import make_view


def train_probe(worker: Worker, artifact: Artifact, inputs: ProbeInputs) -> None:
    """Trains the probe.

    It leaves `model.safetensors`, `metrics.json` (history, train_accuracy, notes) and, where
    epochs are kept, `epochs/`: the model after cross-entropy (0) and after each epoch of L_intra.
    """
    config = inputs.config
    training = _ProbeTraining(worker, artifact, inputs)
    epochs = []
    for number in range(config.epochs):
        epochs.append(partial(training.run_cross_entropy_epoch, number))
    for number in range(config.intra_epochs):
        epochs.append(partial(training.run_intra_epoch, number))
    history = run_epochs(worker, training.checkpointed_parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, training.model)
        accuracy = history[config.epochs - 1]["train_accuracy"]
        metrics = {
            "history": history,
            "train_accuracy": accuracy,
            "notes": _notes(accuracy, config),
        }
        write_json(artifact.work / "metrics.json", metrics)


def _notes(accuracy: float, config: ProbeConfig) -> list[str]:
    if accuracy >= config.min_train_accuracy:
        return []
    return [
        f"the probe fits only {accuracy:.0%} of the labels: it may not have learned a backdoor, "
        "so that scores mean little; raise probe.epochs"
    ]


class _ProbeTraining:
    """The probe, its data and its two phases."""

    def __init__(self, worker: Worker, artifact: Artifact, inputs: ProbeInputs):
        config = inputs.config
        self.worker = worker
        self.artifact = artifact
        self.config = config
        self.seed = inputs.seed
        self.data: TrainingSet = open_training_set(
            worker, inputs.suspect.path, config.workers.resident_bytes
        )
        weights_seed = stream(self.seed, "probe", "weights")
        built = build_model(config.model, self.data.num_classes, weights_seed)
        if inputs.start is not None:
            load_weights(checked_file(inputs.start), built)
        self.model = to_device(built, worker.device)
        self.wrapped = worker.wrap(self.model, partly_used=True)
        self.cross_entropy_optimizer = config.sgd.build(self.model.parameters())
        # L_intra starts without momentum.
        self.intra_optimizer = config.sgd.build(self.model.parameters())
        self.view = partial(make_view, key=0, transforms=(), normalization=inputs.normalization)

    @property
    def checkpointed_parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "ce": self.cross_entropy_optimizer,
            "intra": self.intra_optimizer,
        }

    def run_cross_entropy_epoch(self, number: int) -> Metrics:
        metrics = train_epoch(
            self.worker,
            self.wrapped,
            self.cross_entropy_optimizer,
            batches=self._batches("ce", number),
            view=self.view,
            loss=cross_entropy,
        )
        if number + 1 == self.config.epochs:
            batches = self._batches("ce", number)
            accuracy = measure_accuracy(self.worker, self.model, batches, self.view)
            metrics["train_accuracy"] = accuracy
            self._keep_epoch(0)
        return metrics

    def run_intra_epoch(self, number: int) -> Metrics:
        self.wrapped.train()
        mean_loss = RunningMean(self.worker)
        for batch in self._batches("intra", number):
            loss = self._intra_loss(batch)
            take_step(loss, self.intra_optimizer)
            mean_loss.add(loss * len(batch.labels), len(batch.labels))
        self.worker.synchronize(self.model)
        self._keep_epoch(number + 1)
        return {"intra_loss": mean_loss.value()}

    def _intra_loss(self, batch: ImageBatch) -> torch.Tensor:
        images_BCHW = self.view(batch.images, batch.index.numpy())
        with autocast(self.worker.device):
            with torch.no_grad():
                for _ in range(self.config.intra_passes - 1):
                    self.wrapped(images_BCHW)  # BatchNorm moves (D4)
            features_BD, _ = self.wrapped(images_BCHW)
        return class_center_similarity(
            self.worker.gather(features_BD.float()),
            self.worker.gather(batch.labels),
            self.data.num_classes,
        )

    def _batches(self, phase: str, number: int) -> Iterator[ImageBatch]:
        key = stream(self.seed, "probe", phase, number)
        return self.data.epoch(key, self.config.batch_size, WorkerShare.of(self.worker))

    def _keep_epoch(self, number: int) -> None:
        """Keeps the model; called inside an epoch, so before the checkpoint that ends it."""
        if self.config.keep_epochs and self.worker.rank == 0:
            folder = self.artifact.work / EPOCHS_FOLDER
            folder.mkdir(exist_ok=True)
            num_digits = max(2, len(str(self.config.intra_epochs)))
            name = f"{number:0{num_digits}d}.safetensors"
            save_weights(folder / name, self.model)
            note_written(self.artifact.work, f"{EPOCHS_FOLDER}/{name}")
