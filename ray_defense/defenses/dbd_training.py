"""The phases of DBD: SimCLR, a classifier by symmetric cross-entropy, MixMatch.

Shapes: B labeled samples and as many unlabeled ones, M = 3 B mixed images, N classes.
"""

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import one_hot

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import permutation, stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.defenses.chosen_samples import ChosenSamples, lowest, measure_losses
from ray_defense.defenses.contrastive_phase import ContrastivePhase
from ray_defense.defenses.frozen_extractor_phase import FrozenExtractorPhase
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.detectors.step_training import endless_batches
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.mixmatch import mix_up, mixmatch_losses, ramp_up, sharpen
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.scores.symmetric_cross_entropy import (
    symmetric_cross_entropy,
    symmetric_cross_entropy_loss,
)
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import (
    RunningMean,
    Stateful,
    autocast,
    run_epochs,
    take_step,
    to_device,
)
from ray_defense.training.views import make_view
from ray_defense.transforms.blur import Blur
from ray_defense.transforms.sometimes import Sometimes

if TYPE_CHECKING:
    from ray_defense.defenses.dbd import Decoupling

_BLUR = Blur(kernel_px=3)  # a tenth of the side of 32 pixels, as in SimCLR


def train_dbd(
    config: "Decoupling", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains DBD from scratch: `model.safetensors` and `metrics.json`.

    The metrics name the samples that kept their labels by index.
    """
    data = inputs.open_samples(worker, config.workers)
    if len(data) < 2:
        raise InputError("dbd needs two samples or more: one keeps its label, one does not")
    weights_seed = stream(inputs.seed, "dbd", "weights")
    model = to_device(build_model(config.model, data.num_classes, weights_seed), worker.device)
    extractor_phase = ContrastivePhase(
        "dbd",
        config,
        worker,
        inputs,
        model=model,
        data=data,
        transforms=(config.augmentation, Sometimes(_BLUR, config.blur_fraction)),
        labeled_index=data.index[:0],
    )
    classifier_optimizer = torch.optim.Adam(model.classifier.parameters(), config.learning_rate)
    classifier_phase = FrozenExtractorPhase(
        ("dbd", "classifier order", "classifier view"),
        worker,
        inputs,
        model=model,
        data=data,
        batch_size=config.classifier_batch_size,
        optimizer=classifier_optimizer,
        transforms=(config.classifier_augmentation,),
        loss=_symmetric_loss_of_batch,
    )
    mixmatch_phase = _MixMatchPhase(config, worker, inputs, model=model, data=data)

    def run_classifier_epoch(number: int) -> Metrics:
        metrics = classifier_phase.run_epoch(number)
        return {f"classifier_{name}": value for name, value in metrics.items()}

    epochs = []
    for number in range(config.epochs):
        epochs.append(partial(extractor_phase.run_epoch, number))
    for number in range(config.classifier_epochs):
        epochs.append(partial(run_classifier_epoch, number))
    for number in range(config.mixmatch_epochs):
        epochs.append(partial(mixmatch_phase.run_epoch, number))
    parts: dict[str, Stateful] = {
        "extractor": extractor_phase.extractor,
        "optimizer": extractor_phase.optimizer,
        "classifier_optimizer": classifier_optimizer,
        "mixmatch_optimizer": mixmatch_phase.optimizer,
        "labeled": mixmatch_phase.labeled,
    }
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, model)
        labeled = mixmatch_phase.labeled.index.tolist()
        write_json(artifact.work / "metrics.json", {"history": history, "labeled": labeled})


def _symmetric_loss_of_batch(logits_BN: torch.Tensor, batch: ImageBatch) -> torch.Tensor:
    return symmetric_cross_entropy_loss(logits_BN, batch.labels)


class _MixMatchPhase:
    """The samples that keep their labels and the others, and an epoch of MixMatch over them."""

    def __init__(
        self,
        config: "Decoupling",
        worker: Worker,
        inputs: DefenseInputs,
        *,
        model: FeatureClassifier,
        data: TrainingSet,
    ):
        self.config = config
        self.worker = worker
        self.inputs = inputs
        self.seed = inputs.seed
        self.model = model
        self.data = data
        self.optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
        self.labeled = ChosenSamples()
        self._opened: tuple[TrainingSet, TrainingSet] | None = None
        # Wrapped at the first epoch, when the phases before no longer wrap the model.
        self._wrapped: torch.nn.Module | None = None

    @property
    def wrapped(self) -> torch.nn.Module:
        if self._wrapped is None:
            self.model.requires_grad_(True)
            self._wrapped = self.worker.wrap(self.model)
        return self._wrapped

    @property
    def parts(self) -> tuple[TrainingSet, TrainingSet]:
        """The samples that keep their labels and the others; read again where they changed."""
        if self._opened is None:
            others = np.setdiff1d(self.data.index, self.labeled.index)
            self._opened = (self._open(self.labeled.index), self._open(others))
        return self._opened

    def _open(self, select: np.ndarray) -> TrainingSet:
        return self.inputs.open_samples(self.worker, self.config.workers, select)

    def run_epoch(self, number: int) -> Metrics:
        config = self.config
        wrapped = self.wrapped
        if number == 0 or config.split == "every_epoch":
            self._choose_labeled()
        wrapped.train()
        labeled_loss = RunningMean(self.worker)
        unlabeled_loss = RunningMean(self.worker)
        rows = zip(
            self._batches("labeled", self.parts[0], number),
            self._batches("unlabeled", self.parts[1], number),
            strict=False,
        )
        for step, (labeled, unlabeled) in enumerate(islice(rows, config.mixmatch_steps)):
            key = stream(self.seed, "dbd", "mixmatch", number, step)
            losses = self._losses(labeled, unlabeled, key)
            position = number + step / config.mixmatch_steps
            weight = ramp_up(config.unlabeled_weight, position, config.mixmatch_epochs)
            take_step(losses[0] + weight * losses[1], self.optimizer)
            labeled_loss.add(losses[0] * len(labeled.labels), len(labeled.labels))
            unlabeled_loss.add(losses[1] * len(labeled.labels), len(labeled.labels))
        self.worker.synchronize(wrapped)
        return {
            "mixmatch_loss": labeled_loss.value(),
            "mixmatch_unlabeled_loss": unlabeled_loss.value(),
        }

    def _choose_labeled(self) -> None:
        """Chooses the samples with the lowest symmetric cross-entropy; some sample is left out."""
        losses_N = measure_losses(
            self.worker,
            self.model,
            self.data,
            loss=symmetric_cross_entropy,
            normalization=self.inputs.normalization,
            batch_size=self.config.classifier_batch_size,
        )
        fraction = min(self.config.labeled_fraction, 1 - 1 / len(losses_N))
        self.labeled.index = self.data.index[lowest(losses_N, fraction)]
        self._opened = None

    def _batches(self, name: str, data: TrainingSet, number: int) -> "islice[ImageBatch]":
        batches = endless_batches(
            data,
            stream(self.seed, "dbd", f"{name} order", number),
            self.config.mixmatch_batch_size,
            WorkerShare.of(self.worker),
        )
        return islice(batches, self.config.mixmatch_steps)

    def _losses(
        self, labeled: ImageBatch, unlabeled: ImageBatch, key: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the two losses of MixMatch of one step."""
        config = self.config
        of_labeled = self._view(labeled, stream(key, "labeled"))
        of_unlabeled = [self._view(unlabeled, stream(key, "unlabeled", k)) for k in range(2)]
        with torch.no_grad(), autocast(self.worker.device):
            guesses = []
            for images_BCHW in of_unlabeled:
                _, logits_BN = self.model(images_BCHW)
                guesses.append(torch.softmax(logits_BN.float(), dim=1))
        guess_BN = sharpen((guesses[0] + guesses[1]) / 2, config.sharpening)
        target_BN = one_hot(labeled.labels, self.data.num_classes).to(guess_BN.dtype)
        images_MCHW = torch.cat((of_labeled, *of_unlabeled))
        targets_MN = torch.cat((target_BN, guess_BN, guess_BN))
        order = permutation(stream(key, "mix", self.worker.rank), len(images_MCHW))
        order_M = torch.from_numpy(order).to(images_MCHW.device)
        share = self._mixed_share(key)
        with autocast(self.worker.device):
            _, logits_MN = self.wrapped(mix_up(images_MCHW, order_M, share))
        logits_MN = logits_MN.float()
        mixed_MN = mix_up(targets_MN, order_M, share)
        size = len(of_labeled)
        return mixmatch_losses(logits_MN[:size], mixed_MN[:size], logits_MN[size:], mixed_MN[size:])

    def _mixed_share(self, key: int) -> float:
        """Returns lambda' = max(lambda, 1 - lambda), lambda from Beta(alpha, alpha)."""
        generator = np.random.Generator(np.random.Philox(key=stream(key, "share")))
        drawn = generator.beta(self.config.mixup_alpha, self.config.mixup_alpha)
        return max(drawn, 1 - drawn)

    def _view(self, batch: ImageBatch, key: int) -> torch.Tensor:
        return make_view(
            batch.images,
            batch.index.numpy(),
            key,
            transforms=(self.config.classifier_augmentation,),
            normalization=self.inputs.normalization,
        )
