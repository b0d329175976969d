"""One epoch of a supervised loss over batches, and the accuracy of a model on a set."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from ray_defense.execution.protocols import Worker
from ray_defense.training.loop import Mean, Metrics, autocast, sgd_step

View = Callable[[torch.Tensor, np.ndarray], torch.Tensor]  # uint8 [B, H, W, 3], index [B] -> float [B, 3, H, W]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # logits [B, N], labels [B] -> scalar


def train_epoch(
    worker: Worker,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    view: View,
    loss: Loss,
) -> Metrics:
    """Trains `model` (wrapped) for one pass over `batches`; returns the mean loss and the running accuracy on the labels."""
    model.train()
    mean_loss, accuracy = Mean(worker), Mean(worker)
    for batch in batches:
        with autocast(worker.device):
            _, logits_BN = model(view(batch.images, batch.index.numpy()))
        value = loss(logits_BN.float(), batch.labels)
        sgd_step(value, optimizer)
        mean_loss.add(value * len(batch.labels), len(batch.labels))
        accuracy.add((logits_BN.argmax(1) == batch.labels).sum(), len(batch.labels))
    worker.synchronize(model)
    return {"loss": mean_loss.value(), "accuracy": accuracy.value()}


@torch.no_grad()
def measure_accuracy(worker: Worker, model: torch.nn.Module, batches: Iterable[Any], view: View) -> float:
    """Returns the share of samples whose label `model` (in eval mode) predicts, in [0, 1], over all workers."""
    model.eval()
    accuracy = Mean(worker)
    for batch in batches:
        with autocast(worker.device):
            _, logits_BN = model(view(batch.images, batch.index.numpy()))
        accuracy.add((logits_BN.argmax(1) == batch.labels).sum(), len(batch.labels))
    return accuracy.value()
