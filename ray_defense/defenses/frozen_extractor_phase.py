"""A phase that trains the classifier of a model on its frozen extractor, in evaluation mode.

Shapes: B samples, D features, N classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.training.loop import RunningMean, autocast, take_step
from ray_defense.training.views import make_view
from ray_defense.transforms.protocol import Transform

LossOfBatch = Callable[[torch.Tensor, ImageBatch], torch.Tensor]  # logits [B, N], batch -> scalar


class FrozenExtractorPhase:
    """An epoch of the classifier; the contrastive phase before it no longer wraps the model."""

    def __init__(
        self,
        names: Sequence[str],
        worker: Worker,
        inputs: DefenseInputs,
        *,
        model: FeatureClassifier,
        data: TrainingSet,
        batch_size: int,
        optimizer: torch.optim.Optimizer,
        transforms: Sequence[Transform],
        loss: LossOfBatch,
    ):
        """Creates the phase.

        Args:
            names: Of the random streams: the defense, the order, the view.
            worker: This training process.
            inputs: Of the defense.
            model: Its classifier is trained.
            data: The samples.
            batch_size: Samples a batch, over all workers.
            optimizer: Of the classifier.
            transforms: What an image undergoes before the normalization.
            loss: What is minimized.
        """
        self.names = tuple(names)
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.model = model
        self.data = data
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.transforms = tuple(transforms)
        self.loss = loss
        self._wrapped_classifier: torch.nn.Module | None = None

    @property
    def classifier(self) -> torch.nn.Module:
        if self._wrapped_classifier is None:
            self.model.classifier.requires_grad_(True)
            self._wrapped_classifier = self.worker.wrap(self.model.classifier)
        return self._wrapped_classifier

    def run_epoch(
        self, number: int, counts: Callable[[ImageBatch], np.ndarray] | None = None
    ) -> Metrics:
        """Trains the classifier once over the samples: `loss` and `accuracy`.

        Args:
            number: Of the epoch.
            counts: Which samples of a batch count for the accuracy, bool [B]; all by default.
        """
        classifier = self.classifier
        defense, order, _ = self.names
        order_key = stream(self.seed, defense, order, number)
        batches = self.data.epoch(order_key, self.batch_size, WorkerShare.of(self.worker))
        mean_loss = RunningMean(self.worker)
        accuracy = RunningMean(self.worker)
        self.model.eval()
        for batch in batches:
            logits_BN = classifier(self._features(batch, number))
            loss = self.loss(logits_BN, batch)
            take_step(loss, self.optimizer)
            mean_loss.add(loss * len(batch.index), len(batch.index))
            is_right_B = logits_BN.argmax(1) == batch.labels
            counted_B = np.ones(len(batch.index), bool) if counts is None else counts(batch)
            is_counted_B = upload(counted_B, self.worker.device)
            accuracy.add((is_right_B & is_counted_B).sum(), int(counted_B.sum()))
        return {"loss": mean_loss.value(), "accuracy": accuracy.value()}

    def _features(self, batch: ImageBatch, number: int) -> torch.Tensor:
        """Returns the features of a batch's views, float32 [B, D], without gradient."""
        defense, _, view = self.names
        images_BCHW = make_view(
            batch.images,
            batch.index.numpy(),
            stream(self.seed, defense, view, number),
            transforms=self.transforms,
            normalization=self.normalization,
        )
        with torch.no_grad(), autocast(self.worker.device):
            features_BD: torch.Tensor
            features_BD, _ = self.model(images_BCHW)
        return features_BD.float()
