"""A phase of contrastive learning: two views of every image, SS-CTL over the batch of all workers.

With the labels of no sample it is SimCLR, with those of all samples SupCon, with those of trusted
samples the first phase of D-ST.

Shapes: B samples, V = 2 views, D projection.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.contrastive import Positives, semi_supervised_contrastive
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.projected_features import ProjectedFeatures
from ray_defense.models.seeded import build_seeded
from ray_defense.training.loop import RunningMean, autocast, take_step, to_device
from ray_defense.training.schedules import set_rate, warmup_cosine
from ray_defense.training.settings import Sgd
from ray_defense.training.views import make_view
from ray_defense.transforms.protocol import Transform


class ContrastiveSettings(Protocol):
    """What the configuration of a defense says of its contrastive learning."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def sgd(self) -> Sgd: ...
    @property
    def warmup_epochs(self) -> int: ...
    @property
    def warmup_rate(self) -> float: ...
    @property
    def final_rate_fraction(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def loss_scale(self) -> float: ...
    @property
    def positives(self) -> Positives: ...
    @property
    def projection_dim(self) -> int: ...


class ContrastivePhase:
    """The extractor with its projection head, and an epoch of it; the classifier takes no part."""

    def __init__(
        self,
        name: str,
        config: ContrastiveSettings,
        worker: Worker,
        inputs: DefenseInputs,
        *,
        model: FeatureClassifier,
        data: TrainingSet,
        transforms: Sequence[Transform],
        labeled_index: np.ndarray,
    ):
        """Creates the phase.

        Args:
            name: Of the defense; it is part of every random stream.
            config: Of the defense.
            worker: This training process.
            inputs: Of the defense.
            model: Its extractor is trained.
            data: The samples.
            transforms: What each view undergoes before the normalization.
            labeled_index: The indices of the samples whose labels are used.
        """
        self.name = name
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.data = data
        self.transforms = tuple(transforms)
        self.labeled_index = labeled_index
        for parameter in model.classifier.parameters():
            parameter.requires_grad_(False)
        built = build_seeded(
            lambda: ProjectedFeatures(model, config.projection_dim),
            stream(inputs.seed, name, "head"),
        )
        self.extractor = to_device(built, worker.device)
        trained = [parameter for parameter in built.parameters() if parameter.requires_grad]
        self.optimizer = config.sgd.build(trained)
        self.wrapped = worker.wrap(self.extractor)

    def run_epoch(self, number: int) -> Metrics:
        config = self.config
        share = WorkerShare.of(self.worker)
        # A small last batch would have other negatives.
        drop_last = len(self.data) >= config.batch_size
        num_steps = self.data.num_steps(config.batch_size, share, drop_last)
        order_key = stream(self.seed, self.name, "order", number)
        batches = self.data.epoch(order_key, config.batch_size, share, drop_last=drop_last)
        mean_loss = RunningMean(self.worker)
        self.wrapped.train()
        for step, batch in enumerate(batches):
            set_rate(self.optimizer, self._rate(number + step / num_steps))
            loss = self._loss(batch, number)
            take_step(loss, self.optimizer)
            mean_loss.add(loss * len(batch.index), len(batch.index))
        self.worker.synchronize(self.wrapped)
        return {"contrastive_loss": mean_loss.value()}

    def _rate(self, position: float) -> float:
        """Returns the learning rate at a position in epochs."""
        config = self.config
        return warmup_cosine(
            config.sgd.learning_rate,
            position,
            epochs=config.epochs,
            warmup_epochs=config.warmup_epochs,
            warmup_rate=config.warmup_rate,
            final_fraction=config.final_rate_fraction,
        )

    def _loss(self, batch: ImageBatch, number: int) -> torch.Tensor:
        """Returns SS-CTL of a batch, over the batches of all workers."""
        index = batch.index.numpy()
        views = []
        for which in range(2):
            view = make_view(
                batch.images,
                index,
                stream(self.seed, self.name, "view", number, which),
                transforms=self.transforms,
                normalization=self.normalization,
            )
            views.append(view)
        with autocast(self.worker.device):
            z_of_both_views = self.wrapped(torch.cat(views))
        z_BVD = torch.stack(z_of_both_views.float().chunk(2), dim=1)
        uses_label = upload(np.isin(index, self.labeled_index), self.worker.device)
        loss = semi_supervised_contrastive(
            self.worker.gather(z_BVD),
            self.worker.gather(batch.labels),
            self.worker.gather(uses_label),
            temperature=self.config.temperature,
            positives=self.config.positives,
        )
        return self.config.loss_scale * loss
