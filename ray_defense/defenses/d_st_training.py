"""The phases of D-ST: SS-CTL, Eq. (2), then MCE on the frozen extractor, Eq. (3).

Beyond the paper: a third phase of plain cross-entropy on what is not flagged, if it is asked for.

Shapes: B samples, N classes.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import WorkerShare
from ray_defense.defenses.contrastive_phase import ContrastivePhase
from ray_defense.defenses.frozen_extractor_phase import FrozenExtractorPhase
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy, mixed_cross_entropy
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs, to_device
from ray_defense.training.schedules import cosine_decay, set_rate
from ray_defense.training.supervised import train_epoch
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.defenses.d_st import SecureTraining


def train_d_st(
    config: "SecureTraining", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains D-ST from scratch: `model.safetensors` (extractor and classifier) and `metrics.json`.

    The model's own classifier takes no part in SS-CTL.
    """
    data = inputs.open_samples(worker, config.workers)
    weights_seed = stream(inputs.seed, "d_st", "weights")
    model = to_device(build_model(config.model, data.num_classes, weights_seed), worker.device)
    trusted = inputs.split_table.members("trusted")
    labeled = {"trusted": trusted, "none": trusted[:0], "all": data.index}
    extractor_phase = ContrastivePhase(
        "d_st",
        config,
        worker,
        inputs,
        model=model,
        data=data,
        transforms=(config.augmentation,),
        labeled_index=labeled[config.labels_used],
    )
    classifier_phase = _ClassifierPhase(config, worker, inputs, model=model)
    epochs = []
    for number in range(config.epochs):
        epochs.append(partial(extractor_phase.run_epoch, number))
    for number in range(config.classifier_epochs):
        epochs.append(partial(classifier_phase.run_epoch, number))
    parts: dict[str, Stateful] = {
        "extractor": extractor_phase.extractor,
        "optimizer": extractor_phase.optimizer,
        "classifier_optimizer": classifier_phase.optimizer,
    }
    if config.tuning_epochs:
        tuning_phase = _TuningPhase(config, worker, inputs, model=model)
        parts["tuning_optimizer"] = tuning_phase.optimizer
        for number in range(config.tuning_epochs):
            epochs.append(partial(tuning_phase.run_epoch, number))
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, model)
        write_json(artifact.work / "metrics.json", {"history": history})


class _ClassifierPhase:
    """MCE on the frozen extractor; the means of Eq. (3) are over the two sets (D9), or a batch."""

    def __init__(
        self,
        config: "SecureTraining",
        worker: Worker,
        inputs: DefenseInputs,
        model: FeatureClassifier,
    ):
        self.config = config
        self.worker = worker
        self.optimizer = config.classifier_sgd.build(model.classifier.parameters())
        self.trusted = inputs.split_table.members("trusted")
        self.flagged = inputs.split_table.members("flagged")
        both = np.concatenate((self.trusted, self.flagged))
        self.phase = FrozenExtractorPhase(
            ("d_st", "mce order", "mce view"),
            worker,
            inputs,
            model=model,
            data=inputs.open_samples(worker, config.workers, both),
            batch_size=config.classifier_batch_size,
            optimizer=self.optimizer,
            transforms=(config.classifier_augmentation,),
            loss=self._loss,
        )

    def run_epoch(self, number: int) -> Metrics:
        metrics = self.phase.run_epoch(number, counts=self._is_trusted)
        return {"mce_loss": metrics["loss"], "trusted_accuracy": metrics["accuracy"]}

    def _is_trusted(self, batch: ImageBatch) -> np.ndarray:
        return np.isin(batch.index.numpy(), self.trusted)

    def _loss(self, logits_BN: torch.Tensor, batch: ImageBatch) -> torch.Tensor:
        is_trusted = upload(self._is_trusted(batch), self.worker.device)
        over_sets = self.config.mce_means == "sets"
        return mixed_cross_entropy(
            logits_BN,
            batch.labels,
            is_trusted,
            ~is_trusted,
            flagged_weight=self.config.flagged_weight,
            num_trusted=len(self.trusted) if over_sets else None,
            num_flagged=len(self.flagged) if over_sets else None,
        )


class _TuningPhase:
    """Cross-entropy on the samples that are not flagged; the whole model learns."""

    def __init__(
        self,
        config: "SecureTraining",
        worker: Worker,
        inputs: DefenseInputs,
        model: FeatureClassifier,
    ):
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.model = model
        self.optimizer = config.tuning_sgd.build(model.parameters())
        not_flagged = inputs.split_table.others("flagged")
        self.data = inputs.open_samples(worker, config.workers, not_flagged)
        # Wrapped at the first epoch, when the phases before no longer wrap the model.
        self._wrapped: torch.nn.Module | None = None

    def run_epoch(self, number: int) -> Metrics:
        if self._wrapped is None:
            self.model.requires_grad_(True)
            self._wrapped = self.worker.wrap(self.model)
        config = self.config
        rate = cosine_decay(config.tuning_sgd.learning_rate, number / config.tuning_epochs)
        set_rate(self.optimizer, rate)
        order_key = stream(self.seed, "d_st", "tuning order", number)
        view = partial(
            make_view,
            key=stream(self.seed, "d_st", "tuning view", number),
            transforms=(config.classifier_augmentation,),
            normalization=self.normalization,
        )
        metrics = train_epoch(
            self.worker,
            self._wrapped,
            self.optimizer,
            batches=self.data.epoch(
                order_key, config.tuning_batch_size, WorkerShare.of(self.worker)
            ),
            view=view,
            loss=cross_entropy,
        )
        return {f"tuning_{name}": value for name, value in metrics.items()}
