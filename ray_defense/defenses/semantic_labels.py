"""Labels that a network without eyes for triggers gives to flagged samples.

The network is trained from scratch on all samples that are not flagged, under augmentation that
most triggers do not survive, so that what it predicts is what an image shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import ALONE, TrainingSet, WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.seeded import build_model
from ray_defense.training.loop import Stateful, autocast, to_device
from ray_defense.training.schedules import cosine_decay, set_rate
from ray_defense.training.supervised import train_epoch
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.defenses.d_br import BackdoorRemoval


class SemanticLabels:
    """The network, its training, and the labels that it gives once it is trained."""

    def __init__(
        self,
        config: "BackdoorRemoval",
        worker: Worker,
        inputs: DefenseInputs,
        flagged: TrainingSet,
    ):
        assert inputs.backdoored_config is not None
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.flagged = flagged
        not_flagged = inputs.split_table.others("flagged")
        self.data = inputs.open_samples(worker, config.workers, not_flagged)
        weights_seed = stream(inputs.seed, "d_br", "semantic weights")
        built = build_model(inputs.backdoored_config.model, flagged.num_classes, weights_seed)
        self.model = to_device(built, worker.device)
        self.wrapped = worker.wrap(self.model)
        self.optimizer = config.semantic_sgd.build(self.model.parameters())
        self._labels: torch.Tensor | None = None  # of the flagged samples, by ascending index

    @property
    def checkpointed_parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds of it, by name."""
        return {"semantic": self.model, "semantic_optimizer": self.optimizer}

    def run_epoch(self, number: int) -> Metrics:
        """Trains the network for one epoch."""
        config = self.config
        rate = cosine_decay(config.semantic_sgd.learning_rate, number / config.semantic_epochs)
        set_rate(self.optimizer, rate)
        share = WorkerShare.of(self.worker)
        order_key = stream(self.seed, "d_br", "semantic order", number)
        view = partial(
            make_view,
            key=stream(self.seed, "d_br", "semantic view", number),
            transforms=(config.semantic_augmentation,),
            normalization=self.normalization,
        )
        metrics = train_epoch(
            self.worker,
            self.wrapped,
            self.optimizer,
            batches=self.data.epoch(order_key, config.batch_size, share),
            view=view,
            loss=cross_entropy,
        )
        return {f"semantic_{name}": value for name, value in metrics.items()}

    def relabel(self, batches: Iterable[ImageBatch]) -> Iterator[ImageBatch]:
        """Yields batches of flagged samples with their semantic labels."""
        if self._labels is None:
            self._labels = self._predict()
        for batch in batches:
            positions = np.searchsorted(self.flagged.index, batch.index.numpy())
            yield replace(batch, labels=self._labels[upload(positions, self.worker.device)])

    @torch.no_grad()
    def _predict(self) -> torch.Tensor:
        """Returns the semantic label of every flagged sample, the same on every worker."""
        self.model.eval()
        labels = torch.zeros(len(self.flagged), dtype=torch.int64, device=self.worker.device)
        view = partial(make_view, key=0, transforms=(), normalization=self.normalization)
        for batch in self.flagged.epoch(0, self.config.batch_size, ALONE):
            with autocast(self.worker.device):
                _, logits_BN = self.model(view(batch.images, batch.index.numpy()))
            positions = np.searchsorted(self.flagged.index, batch.index.numpy())
            labels[upload(positions, self.worker.device)] = logits_BN.argmax(1)
        return labels
