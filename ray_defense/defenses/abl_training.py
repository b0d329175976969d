"""The phases of ABL: local gradient ascent, isolation, fine-tuning, unlearning.

Shapes: B samples, N classes.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.defenses.chosen_samples import ChosenSamples, lowest, measure_losses
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.supervised_phase import SupervisedPhase
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy, unlearning
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.scores.local_gradient_ascent import local_gradient_ascent_loss, minus_loss
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs, to_device
from ray_defense.training.schedules import set_rate, step_decay
from ray_defense.training.supervised import Loss
from ray_defense.transforms.erase import Erase
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.defenses.abl import AntiBackdoorLearning


def train_abl(
    config: "AntiBackdoorLearning", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains ABL: `model.safetensors`, the model after the last epoch, and `metrics.json`.

    The metrics name the isolated samples by index.
    """
    training = _AntiBackdoorTraining(config, worker, inputs)
    epochs = []
    for number in range(config.tuning_epochs):
        epochs.append(partial(training.run_tuning_epoch, number))
    for number in range(config.finetuning_epochs):
        epochs.append(partial(training.run_finetuning_epoch, number))
    for number in range(config.unlearning_epochs):
        epochs.append(partial(training.run_unlearning_epoch, number))
    parts: dict[str, Stateful] = {
        "model": training.model,
        "isolated": training.isolated,
        **training.optimizers,
    }
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, training.model)
        isolated = training.isolated.index.tolist()
        write_json(artifact.work / "metrics.json", {"history": history, "isolated": isolated})


class _AntiBackdoorTraining:
    """A fresh model, the suspect dataset, and an epoch of each phase."""

    def __init__(self, config: "AntiBackdoorLearning", worker: Worker, inputs: DefenseInputs):
        self.config = config
        self.worker = worker
        self.inputs = inputs
        self.data = inputs.open_samples(worker, config.workers)
        if len(self.data) < 2:
            raise InputError("abl needs two samples or more: it isolates some of them")
        weights_seed = stream(inputs.seed, "abl", "weights")
        built = build_model(config.model, self.data.num_classes, weights_seed)
        self.model = to_device(built, worker.device)
        self.wrapped = worker.wrap(self.model)
        self.optimizers = {}  # one a phase, as they are runs of their own in the code of the paper
        for phase in ("tuning", "finetuning", "unlearning"):
            optimizer = config.sgd.build(self.model.parameters(), nesterov=True)
            self.optimizers[f"{phase}_optimizer"] = optimizer
        self.isolated = ChosenSamples()
        self._phases: dict[str, SupervisedPhase] = {}

    def run_tuning_epoch(self, number: int) -> Metrics:
        """Learns from all samples; after the last epoch isolates those with the smallest loss."""
        config = self.config
        loss = partial(local_gradient_ascent_loss, gamma=config.gamma, variant=config.ascent)
        set_rate(self.optimizers["tuning_optimizer"], config.sgd.learning_rate)
        metrics = self._run("tuning", number, None, loss, augmented=True)
        if number == config.tuning_epochs - 1:
            losses_N = measure_losses(
                self.worker,
                self.model,
                self.data,
                loss=lambda logits_BN, labels_B: -minus_loss(logits_BN, labels_B),
                normalization=self.inputs.normalization,
                batch_size=config.batch_size,
            )
            positions = lowest(losses_N, min(config.isolated_fraction, 1 - 1 / len(losses_N)))
            self.isolated.index = self.data.index[positions]
            metrics["isolated_loss"] = float(losses_N[positions].max())
        return metrics

    def run_finetuning_epoch(self, number: int) -> Metrics:
        """Learns from the samples that are not isolated, by cross-entropy."""
        config = self.config
        rate = step_decay(config.sgd.learning_rate, number, config.milestones)
        set_rate(self.optimizers["finetuning_optimizer"], rate)
        others = np.setdiff1d(self.data.index, self.isolated.index)
        return self._run("finetuning", number, others, cross_entropy, augmented=True)

    def run_unlearning_epoch(self, number: int) -> Metrics:
        """Unlearns the isolated samples: the second term of ABL's Eq. (4), alone as in its code."""
        set_rate(self.optimizers["unlearning_optimizer"], self.config.unlearning_rate)
        return self._run("unlearning", number, self.isolated.index, unlearning, augmented=False)

    def _run(
        self,
        name: str,
        number: int,
        select: np.ndarray | None,
        loss: Loss,
        *,
        augmented: bool,
    ) -> Metrics:
        """Trains one epoch of a phase, whose samples are opened when it begins."""
        if name not in self._phases:
            data = self.data
            if select is not None:
                data = self.inputs.open_samples(self.worker, self.config.workers, select)
            self._phases = {
                name: SupervisedPhase(
                    f"abl {name}",
                    self.worker,
                    self.inputs,
                    data=data,
                    batch_size=self.config.batch_size,
                    transforms=self._transforms() if augmented else (),
                    loss=loss,
                )
            }
        optimizer = self.optimizers[f"{name}_optimizer"]
        metrics = self._phases[name].run_epoch(number, self.wrapped, optimizer)
        return {f"{name}_{metric}": value for metric, value in metrics.items()}

    def _transforms(self) -> tuple[Transform, ...]:
        side = self.config.cutout_fraction
        if not side:
            return (self.config.augmentation,)
        cutout = Erase(
            min_area_fraction=side**2, max_area_fraction=side**2, min_ratio=1.0, max_ratio=1.0
        )
        return (self.config.augmentation, cutout)
