"""The phases of MCR: the end of the curve is fine-tuned, the bend is trained, a point is taken."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.func import functional_call

from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.training_set import ALONE, WorkerShare
from ray_defense.defenses.bezier_curve import point_of_curve, recompute_batch_statistics
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.supervised_phase import SupervisedPhase
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import (
    RunningMean,
    Stateful,
    autocast,
    average_gradients,
    run_epochs,
)
from ray_defense.training.schedules import cosine_decay, set_rate
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.defenses.mcr import ModeConnectivityRepair


def train_mcr(
    config: "ModeConnectivityRepair", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains MCR: `model.safetensors`, the model at the position, and `metrics.json`."""
    training = _CurveTraining(config, worker, inputs)
    epochs = []
    for number in range(config.end_epochs):
        epochs.append(partial(training.run_end_epoch, number))
    for number in range(config.curve_epochs):
        epochs.append(partial(training.run_curve_epoch, number))
    parts: dict[str, Stateful] = {
        "end": training.end,
        "end_optimizer": training.end_optimizer,
        "bend": training.bend,
        "bend_optimizer": training.bend_optimizer,
    }
    history = run_epochs(worker, parts, epochs)
    network = training.take_point()
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, network)
        write_json(artifact.work / "metrics.json", {"history": history})


class _CurveTraining:
    """The two ends and the bend of the curve, and the clean images."""

    def __init__(self, config: "ModeConnectivityRepair", worker: Worker, inputs: DefenseInputs):
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.phase = SupervisedPhase.on_clean_images("mcr", config, worker, inputs)
        num_classes = self.phase.data.num_classes
        self.start: FeatureClassifier = inputs.load_backdoored(worker, num_classes)
        self.end: FeatureClassifier = inputs.load_backdoored(worker, num_classes)
        self.end_optimizer = config.end_sgd.build(self.end.parameters())
        self.wrapped_end = worker.wrap(self.end)
        self.bend: FeatureClassifier = inputs.load_backdoored(worker, num_classes)
        self.bend_optimizer = config.curve_sgd.build(self.bend.parameters())

    def run_end_epoch(self, number: int) -> Metrics:
        config = self.config
        rate = cosine_decay(config.end_sgd.learning_rate, number / config.end_epochs)
        set_rate(self.end_optimizer, rate)
        metrics = self.phase.run_epoch(number, self.wrapped_end, self.end_optimizer)
        return {f"end_{name}": value for name, value in metrics.items()}

    def run_curve_epoch(self, number: int) -> Metrics:
        config = self.config
        if number == 0:
            self._place_bend()
        rate = cosine_decay(config.curve_sgd.learning_rate, number / config.curve_epochs)
        set_rate(self.bend_optimizer, rate)
        draw = config.end_epochs + number
        order_key = stream(self.seed, "mcr", "order", draw)
        share = WorkerShare.of(self.worker)
        mean_loss = RunningMean(self.worker)
        self.bend.train()
        batches = self.phase.data.epoch(order_key, config.batch_size, share)
        for step, batch in enumerate(batches):
            key = stream(self.seed, "mcr", "position", number)
            t = float(uniform(key, np.array([step]), 1)[0, 0])
            images_BCHW = self.phase.view(draw)(batch.images, batch.index.numpy())
            point = point_of_curve(self.start, self.bend, self.end, t)
            with autocast(self.worker.device):
                _, logits_BN = functional_call(self.bend, point, (images_BCHW,))
            loss = cross_entropy(logits_BN.float(), batch.labels)
            self.bend_optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            average_gradients(self.worker, list(self.bend.parameters()))
            self.bend_optimizer.step()
            mean_loss.add(loss * len(batch.labels), len(batch.labels))
        self.worker.synchronize(self.bend)
        return {"curve_loss": mean_loss.value()}

    @torch.no_grad()
    def _place_bend(self) -> None:
        """Puts the bend half-way between the ends."""
        of_end = dict(self.end.named_parameters())
        of_start = dict(self.start.named_parameters())
        for name, parameter in self.bend.named_parameters():
            parameter.copy_((of_start[name] + of_end[name]) / 2)

    @torch.no_grad()
    def take_point(self) -> FeatureClassifier:
        """Returns the model at the position, with batch statistics of its own."""
        point = point_of_curve(self.start, self.bend, self.end, self.config.position)
        for name, parameter in self.bend.named_parameters():
            parameter.copy_(point[name])
        with autocast(self.worker.device):
            recompute_batch_statistics(self.bend, self._clean_batches())
        return self.bend

    def _clean_batches(self) -> Iterator[torch.Tensor]:
        """Yields the clean images without augmentation, all of them on every worker."""
        for batch in self.phase.data.epoch(0, self.config.batch_size, ALONE):
            yield make_view(
                batch.images,
                batch.index.numpy(),
                0,
                transforms=(),
                normalization=self.phase.normalization,
            )
