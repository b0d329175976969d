"""Trains a network for a number of steps, whatever the size of the dataset.

A detector has learned what it looks for after so many steps, not after so many passes: a pass over
a small folder is a few steps, and a pass over a large dataset is thousands.

Shapes: B images of a step.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import ALONE, TrainingSet, WorkerShare
from ray_defense.detectors.step_epochs import STEPS_AN_EPOCH
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.training.loop import RunningMean, autocast, take_step
from ray_defense.training.schedules import cosine_decay, set_rate

StepInputs = tuple[torch.Tensor, torch.Tensor]  # normalized images [B, 3, H, W], labels [B]


def train_steps(
    worker: Worker,
    network: FeatureClassifier,
    optimizer: torch.optim.Optimizer,
    inputs_of: Callable[[int], StepInputs],
    *,
    epoch: int,
    steps: int,
    learning_rate: float,
) -> Metrics:
    """Takes the steps of one epoch, by cross-entropy, and returns mean loss and accuracy.

    Args:
        worker: The process that trains.
        network: Is trained.
        optimizer: Of its parameters.
        inputs_of: Gives what the step of a number learns, called once a step in their order.
        epoch: Its number, from 0.
        steps: Of all epochs together.
        learning_rate: Of the first step; it falls along a cosine to 0.
    """
    network.train()
    mean_loss = RunningMean(worker)
    accuracy = RunningMean(worker)
    first = epoch * STEPS_AN_EPOCH
    for step in range(first, min(first + STEPS_AN_EPOCH, steps)):
        set_rate(optimizer, cosine_decay(learning_rate, step / steps))
        images_BCHW, labels_B = inputs_of(step)
        with autocast(worker.device):
            _, logits_BN = network(images_BCHW)
        loss = cross_entropy(logits_BN.float(), labels_B)
        take_step(loss, optimizer)
        mean_loss.add(loss * len(labels_B), len(labels_B))
        accuracy.add((logits_BN.argmax(1) == labels_B).sum(), len(labels_B))
    return {"loss": mean_loss.value(), "accuracy": accuracy.value()}


def endless_batches(
    data: TrainingSet, key: int, size: int, share: WorkerShare = ALONE
) -> Iterator[ImageBatch]:
    """Yields batches of exactly `size` samples for ever, pass after pass over the data.

    A set that is smaller than a batch is in it several times.

    Args:
        data: The samples.
        key: A random stream; the order is a function of it.
        size: Samples a batch, over all workers.
        share: The share of this worker.
    """
    number = 0
    while True:
        if len(data) >= size:
            yield from data.epoch(stream(key, number), size, share, drop_last=True)
            number += 1
            continue
        parts: list[ImageBatch] = []
        while len(parts) * len(data) < size:
            parts.extend(data.epoch(stream(key, number), len(data)))
            number += 1
        rows = torch.from_numpy(share.select(np.arange(size)))
        yield ImageBatch(
            images=torch.cat([part.images for part in parts])[rows],
            labels=torch.cat([part.labels for part in parts])[rows],
            index=torch.cat([part.index for part in parts])[rows],
        )
