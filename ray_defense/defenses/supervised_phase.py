"""A phase of a defense that trains a model by a loss of logits and labels over one set."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch

from ray_defense.core.random import stream
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.training.supervised import Loss, View, measure_accuracy, train_epoch
from ray_defense.training.views import make_view
from ray_defense.transforms.protocol import Transform


class TrainsOnCleanImages(Protocol):
    """What the configuration of such a defense says of its batches and processes."""

    @property
    def batch_size(self) -> int:
        """Samples a batch, over all workers."""

    @property
    def workers(self) -> WorkerGroup:
        """The group of training processes."""


class SupervisedPhase:
    """The set, what the model sees of it, and the random streams of the phase."""

    def __init__(
        self,
        name: str,
        worker: Worker,
        inputs: DefenseInputs,
        *,
        data: TrainingSet,
        batch_size: int,
        transforms: Sequence[Transform],
        loss: Loss = cross_entropy,
    ):
        """Creates the phase.

        Args:
            name: Of the defense and the phase; it is part of every random stream.
            worker: This training process.
            inputs: Of the defense.
            data: The samples that are trained on.
            batch_size: Samples a batch, over all workers.
            transforms: What an image undergoes before the normalization.
            loss: What is minimized.
        """
        self.name = name
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.data = data
        self.batch_size = batch_size
        self.transforms = tuple(transforms)
        self.loss = loss

    @classmethod
    def on_clean_images(
        cls, name: str, config: TrainsOnCleanImages, worker: Worker, inputs: DefenseInputs
    ) -> "SupervisedPhase":
        """Returns the phase of a repair: clean images, augmented as the backdoored model's were.

        Args:
            name: Of the defense.
            config: Of the defense.
            worker: This training process.
            inputs: Of the defense, which repairs.
        """
        assert inputs.backdoored_config is not None
        return cls(
            name,
            worker,
            inputs,
            data=inputs.open_clean(worker, config.workers),
            batch_size=config.batch_size,
            transforms=(inputs.backdoored_config.augmentation,),
        )

    def run_epoch(
        self, number: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> Metrics:
        """Trains a model, wrapped by the worker, for the epoch of a number."""
        order_key = stream(self.seed, self.name, "order", number)
        batches = self.data.epoch(order_key, self.batch_size, WorkerShare.of(self.worker))
        return train_epoch(
            self.worker,
            model,
            optimizer,
            batches=batches,
            view=self.view(number),
            loss=self.loss,
        )

    def view(self, number: int) -> View:
        """Returns what the model sees of a batch in the epoch of a number."""
        return partial(
            make_view,
            key=stream(self.seed, self.name, "view", number),
            transforms=self.transforms,
            normalization=self.normalization,
        )

    def measure_accuracy(self, model: torch.nn.Module) -> float:
        """Returns the share of the set, without augmentation, whose label a model predicts."""
        batches = self.data.epoch(0, self.batch_size, WorkerShare.of(self.worker))
        view = partial(make_view, key=0, transforms=(), normalization=self.normalization)
        return measure_accuracy(self.worker, model, batches, view)
