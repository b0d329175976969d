"""The rounds of D-BR: one epoch of unlearning, Eq. (4), then one of relearning, Eq. (5).

Beside the paper: unlearning with a bound, to no class or to semantic labels, or in company.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import WorkerShare
from ray_defense.defenses.companions import flagged_size, in_company, unlearn_in_company
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.semantic_labels import SemanticLabels
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import (
    cross_entropy,
    cross_entropy_to_uniform,
    unlearning,
)
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import load_weights, save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.store.written_files import note_written
from ray_defense.training.loop import Stateful, run_epochs
from ray_defense.training.supervised import Loss, View, measure_accuracy, train_epoch
from ray_defense.training.views import make_view

if TYPE_CHECKING:
    from ray_defense.defenses.d_br import BackdoorRemoval

ROUNDS_FOLDER = "rounds"
_PARTS = {"unlearn": "flagged", "relearn": "trusted"}
_UNLEARNING_LOSSES = {
    "ascent": unlearning,
    "uniform": cross_entropy_to_uniform,
    "semantic": cross_entropy,  # to other labels
}


def train_d_br(
    config: "BackdoorRemoval", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains D-BR.

    It leaves `model.safetensors`, the model after each round under `rounds/`, and `metrics.json`
    with what each round gave and which one was kept.
    """
    training = _BackdoorRemovalTraining(config, worker, artifact, inputs)
    parts: dict[str, Stateful] = {"model": training.model, "optimizer": training.optimizer}
    epochs: list[Callable[[], Metrics]] = []
    if training.semantic is not None:
        parts.update(training.semantic.checkpointed_parts)
        for number in range(config.semantic_epochs):
            epochs.append(partial(training.semantic.run_epoch, number))
    num_before = len(epochs)
    for number in range(config.rounds):
        epochs.append(partial(training.run_round, number))
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        kept = kept_round(history[num_before:], config.keep)
        load_weights(_round_file(artifact, kept), training.model)
        save_weights(artifact.work / WEIGHTS, training.model)
        notes = []
        if "flagged" not in training.sets:
            notes.append("D-BR unlearned nothing, since nothing is flagged")
        metrics = {"history": history, "kept_round": num_before + kept, "notes": notes}
        write_json(artifact.work / "metrics.json", metrics)


def kept_round(history: list[Metrics], keep: Literal["last", "splits"]) -> int:
    """Returns the number (from 1) of the round to keep, by what the two splits say (D7)."""
    if keep == "last":
        return len(history)
    gains = []
    for metrics in history:
        # A round without flagged samples agrees with none.
        gains.append(metrics["trusted_accuracy"] - metrics.get("flagged_accuracy", 0.0))
    return int(np.argmax(gains)) + 1


def _round_file(artifact: Artifact, number: int) -> Path:
    return artifact.work / ROUNDS_FOLDER / f"round-{number:03d}.safetensors"


class _BackdoorRemovalTraining:
    """The backdoored model, the two parts of the split, and a round over them."""

    def __init__(
        self, config: "BackdoorRemoval", worker: Worker, artifact: Artifact, inputs: DefenseInputs
    ):
        assert inputs.backdoored_config is not None
        self.config = config
        self.worker = worker
        self.artifact = artifact
        self.seed = inputs.seed
        self.normalization = inputs.normalization
        self.augmentation = inputs.backdoored_config.augmentation
        self.sets = {}
        for part in config.parts_used:
            if len(inputs.split_table.members(part)):
                self.sets[part] = inputs.open_part(worker, config.workers, part)
        num_classes = self.sets["trusted"].num_classes
        self.model = inputs.load_backdoored(worker, num_classes)
        self.wrapped = worker.wrap(self.model)
        self.optimizer = config.sgd.build(self.model.parameters())
        self.semantic: SemanticLabels | None = None
        if config.unlearning == "semantic" and "flagged" in self.sets:
            self.semantic = SemanticLabels(config, worker, inputs, self.sets["flagged"])

    def run_round(self, number: int) -> Metrics:
        metrics: Metrics = {}
        skips_unlearning = "flagged" not in self.sets or self._has_unlearned()
        for step in self.config.steps:
            if step == "unlearn" and skips_unlearning:
                continue
            metrics[f"{step}_loss"] = self._run_step(step, number)
        for part in self.sets:
            metrics[f"{part}_accuracy"] = self._agreement(part)
        if self.worker.rank == 0:
            file = _round_file(self.artifact, number + 1)
            file.parent.mkdir(exist_ok=True)
            save_weights(file, self.model)
            note_written(self.artifact.work, f"{ROUNDS_FOLDER}/{file.name}")
        return metrics

    @property
    def _threshold(self) -> float | None:
        """The agreement with the flagged labels up to which nothing is unlearned."""
        threshold = self.config.unlearn_above
        if threshold == "chance":
            return 1 / self.sets["flagged"].num_classes
        return threshold

    def _has_unlearned(self) -> bool:
        threshold = self._threshold
        return threshold is not None and self._agreement("flagged") <= threshold

    def _run_step(self, step: str, number: int) -> float:
        """Trains one epoch of a step and returns its mean loss."""
        view = partial(
            make_view,
            key=stream(self.seed, "d_br", "view", step, number),
            transforms=(self.augmentation,),
            normalization=self.normalization,
        )
        loss = cross_entropy
        if step == "unlearn":
            loss = _UNLEARNING_LOSSES[self.config.unlearning]
            if self.config.companions:
                return self._unlearn_in_company(number, view, loss)
        order_key = stream(self.seed, "d_br", "order", step, number)
        share = WorkerShare.of(self.worker)
        batches = self.sets[_PARTS[step]].epoch(order_key, self.config.batch_size, share)
        if step == "unlearn" and self.semantic is not None:
            batches = self.semantic.relabel(batches)
        metrics = train_epoch(
            self.worker,
            self.wrapped,
            self.optimizer,
            batches=batches,
            view=view,
            loss=loss,
        )
        return metrics["loss"]

    def _unlearn_in_company(self, number: int, view: View, loss: Loss) -> float:
        """Trains one epoch of unlearning with companions and returns its mean loss."""
        companions = self.config.companions
        share = WorkerShare.of(self.worker)
        size = flagged_size(self.config.batch_size, companions, share)
        order_key = stream(self.seed, "d_br", "order", "unlearn", number)
        batches = self._still_known(self.sets["flagged"].epoch(order_key, size, share))
        if self.semantic is not None:
            batches = self.semantic.relabel(batches)
        pairs = in_company(
            batches,
            self.sets["trusted"],
            key=stream(self.seed, "d_br", "order", "companions", number),
            companions=companions,
            size=size,
            share=share,
        )
        return unlearn_in_company(
            self.worker,
            self.wrapped,
            self.optimizer,
            pairs=pairs,
            view=view,
            loss=loss,
        )

    def _still_known(self, batches: Iterable[ImageBatch]) -> Iterator[ImageBatch]:
        """Yields the batches of which the model, as it is then, predicts enough labels."""
        threshold = self._threshold
        for batch in batches:
            if threshold is None or self._agreement_on([batch]) > threshold:
                yield batch

    def _agreement(self, part: str) -> float:
        """Returns the share of a part whose labels, as received, the model predicts."""
        share = WorkerShare.of(self.worker)
        return self._agreement_on(self.sets[part].epoch(0, self.config.batch_size, share))

    def _agreement_on(self, batches: Iterable[ImageBatch]) -> float:
        """Returns the share of samples, over all workers, whose labels the model predicts."""
        view = partial(make_view, key=0, transforms=(), normalization=self.normalization)
        return measure_accuracy(self.worker, self.model, batches, view)
