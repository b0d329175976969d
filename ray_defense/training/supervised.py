"""Supervised training: one epoch of a loss, accuracy on a set, a classifier from scratch."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import WorkerShare, open_training_set
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import RunningMean, autocast, run_epochs, take_step, to_device
from ray_defense.training.schedules import set_rate, step_decay
from ray_defense.training.settings import SupervisedInputs
from ray_defense.training.views import make_view

View = Callable[[torch.Tensor, np.ndarray], torch.Tensor]  # uint8 [B,H,W,3], index -> [B,3,H,W]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # logits [B,N], labels [B] -> scalar


def train_epoch(
    worker: Worker,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[ImageBatch],
    view: View,
    loss: Loss,
) -> Metrics:
    """Trains a model for one pass over some batches.

    Args:
        worker: This training process.
        model: The model, wrapped by the worker.
        optimizer: Of its parameters.
        batches: This worker's part of the epoch.
        view: What the model sees of a batch.
        loss: Of logits and labels.

    Returns:
        `loss` and `accuracy` on the labels, means over the epoch as it ran.
    """
    model.train()
    mean_loss = RunningMean(worker)
    accuracy = RunningMean(worker)
    for batch in batches:
        with autocast(worker.device):
            _, logits_BN = model(view(batch.images, batch.index.numpy()))
        value = loss(logits_BN.float(), batch.labels)
        take_step(value, optimizer)
        num_samples = len(batch.labels)
        mean_loss.add(value * num_samples, num_samples)
        accuracy.add((logits_BN.argmax(1) == batch.labels).sum(), num_samples)
    worker.synchronize(model)
    return {"loss": mean_loss.value(), "accuracy": accuracy.value()}


@torch.no_grad()
def measure_accuracy(
    worker: Worker, model: torch.nn.Module, batches: Iterable[ImageBatch], view: View
) -> float:
    """Returns the share of samples, over all workers, whose label the model predicts."""
    model.eval()
    accuracy = RunningMean(worker)
    for batch in batches:
        with autocast(worker.device):
            _, logits_BN = model(view(batch.images, batch.index.numpy()))
        accuracy.add((logits_BN.argmax(1) == batch.labels).sum(), len(batch.labels))
    return accuracy.value()


def train_classifier(
    worker: Worker,
    artifact: Artifact,
    inputs: SupervisedInputs,
    select: np.ndarray | None = None,
) -> None:
    """Trains a classifier by cross-entropy: `model.safetensors` and `metrics.json`.

    Args:
        worker: This training process.
        artifact: What is made; the name of its stage is part of every random stream.
        inputs: The configuration and the data.
        select: The indices of the samples to train on, int [N]; all of them by default.
    """
    config = inputs.config
    stage = artifact.stage
    data = open_training_set(worker, inputs.dataset.path, config.workers.resident_bytes, select)
    weights_seed = stream(inputs.seed, stage, "weights")
    model = to_device(build_model(config.model, data.num_classes, weights_seed), worker.device)
    wrapped = worker.wrap(model)
    optimizer = config.sgd.build(model.parameters())
    share = WorkerShare.of(worker)

    def run_epoch(number: int) -> Metrics:
        set_rate(optimizer, step_decay(config.sgd.learning_rate, number, config.milestones))
        order_key = stream(inputs.seed, stage, "order", number)
        view = partial(
            make_view,
            key=stream(inputs.seed, stage, "view", number),
            transforms=(config.augmentation,),
            normalization=inputs.normalization,
        )
        batches = data.epoch(order_key, config.batch_size, share)
        return train_epoch(worker, wrapped, optimizer, batches, view, cross_entropy)

    epochs = [partial(run_epoch, number) for number in range(config.epochs)]
    history = run_epochs(worker, {"model": model, "optimizer": optimizer}, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, model)
        write_json(artifact.work / "metrics.json", {"history": history})
