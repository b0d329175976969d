"""The phases of D-ST: SS-CTL, Eq. (2), then MCE on the frozen extractor, Eq. (3).

Beyond the paper: a third phase of plain cross-entropy on what is not flagged, if it is asked for.

Shapes: B samples, V = 2 views, D projection, N classes.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.on_device import upload
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.contrastive import semi_supervised_contrastive
from ray_defense.losses.cross_entropy import cross_entropy, mixed_cross_entropy
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.projected_features import ProjectedFeatures
from ray_defense.models.seeded import build_model, build_seeded
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import (
    RunningMean,
    Stateful,
    autocast,
    run_epochs,
    take_step,
    to_device,
)
from ray_defense.training.schedules import cosine_decay, set_rate, warmup_cosine
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
    extractor_phase = _ExtractorPhase(config, worker, inputs, model=model, data=data)
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


class _ExtractorPhase:
    """SS-CTL: two views of every image, the loss over the batch of all workers."""

    def __init__(
        self,
        config: "SecureTraining",
        worker: Worker,
        inputs: DefenseInputs,
        model: FeatureClassifier,
        data: TrainingSet,
    ):
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.data = data
        for parameter in model.classifier.parameters():
            parameter.requires_grad_(False)
        built = build_seeded(
            lambda: ProjectedFeatures(model, config.projection_dim),
            stream(inputs.seed, "d_st", "head"),
        )
        self.extractor = to_device(built, worker.device)
        trained = [parameter for parameter in built.parameters() if parameter.requires_grad]
        self.optimizer = config.sgd.build(trained)
        self.wrapped = worker.wrap(self.extractor)
        trusted = inputs.split_table.members("trusted")
        labeled = {"trusted": trusted, "none": trusted[:0], "all": self.data.index}
        self.labeled_index = labeled[config.labels_used]  # samples whose labels are used

    def run_epoch(self, number: int) -> Metrics:
        config = self.config
        share = WorkerShare.of(self.worker)
        # A small last batch would have other negatives.
        drop_last = len(self.data) >= config.batch_size
        num_steps = self.data.num_steps(config.batch_size, share, drop_last)
        order_key = stream(self.seed, "d_st", "order", number)
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
                stream(self.seed, "d_st", "view", number, which),
                transforms=(self.config.augmentation,),
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


class _ClassifierPhase:
    """MCE on the frozen extractor; the means of Eq. (3) are over the two sets (D9)."""

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
        self.optimizer = config.classifier_sgd.build(model.classifier.parameters())
        self.trusted = inputs.split_table.members("trusted")
        self.flagged = inputs.split_table.members("flagged")
        both = np.concatenate((self.trusted, self.flagged))
        self.data = inputs.open_samples(worker, config.workers, both)
        # Wrapped at the first epoch, when SS-CTL no longer wraps the model.
        self._wrapped_classifier: torch.nn.Module | None = None

    @property
    def classifier(self) -> torch.nn.Module:
        if self._wrapped_classifier is None:
            self.model.classifier.requires_grad_(True)
            self._wrapped_classifier = self.worker.wrap(self.model.classifier)
        return self._wrapped_classifier

    def run_epoch(self, number: int) -> Metrics:
        classifier = self.classifier
        order_key = stream(self.seed, "d_st", "mce order", number)
        share = WorkerShare.of(self.worker)
        batches = self.data.epoch(order_key, self.config.classifier_batch_size, share)
        mean_loss = RunningMean(self.worker)
        accuracy = RunningMean(self.worker)
        self.model.eval()
        for batch in batches:
            logits_BN = classifier(self._features(batch, number))
            trusted_of_batch = np.isin(batch.index.numpy(), self.trusted)
            is_trusted = upload(trusted_of_batch, self.worker.device)
            loss = mixed_cross_entropy(
                logits_BN,
                batch.labels,
                is_trusted,
                ~is_trusted,
                flagged_weight=self.config.flagged_weight,
                num_trusted=len(self.trusted),
                num_flagged=len(self.flagged),
            )
            take_step(loss, self.optimizer)
            mean_loss.add(loss * len(batch.index), len(batch.index))
            is_right = logits_BN.argmax(1) == batch.labels
            accuracy.add((is_right & is_trusted).sum(), int(trusted_of_batch.sum()))
        return {"mce_loss": mean_loss.value(), "trusted_accuracy": accuracy.value()}

    def _features(self, batch: ImageBatch, number: int) -> torch.Tensor:
        """Returns the features of a batch's views, float32 [B, D], without gradient."""
        images_BCHW = make_view(
            batch.images,
            batch.index.numpy(),
            stream(self.seed, "d_st", "mce view", number),
            transforms=(self.config.classifier_augmentation,),
            normalization=self.normalization,
        )
        with torch.no_grad(), autocast(self.worker.device):
            features_BD: torch.Tensor
            features_BD, _ = self.model(images_BCHW)
        return features_BD.float()


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
