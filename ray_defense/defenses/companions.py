"""Unlearning in company: trusted samples stand beside the flagged ones of a batch (D11).

In training mode batch normalization takes out of a batch what all of its images share. Of flagged
samples alone that is the trigger, so that unlearning hardly sees it and works on the class instead.
No loss looks at the companions; they are there for the statistics.
"""

from collections.abc import Iterable, Iterator

import torch

from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.detectors.step_training import endless_batches
from ray_defense.execution.protocols import Worker
from ray_defense.training.loop import RunningMean, autocast, take_step
from ray_defense.training.supervised import Loss, View


def flagged_size(batch_size: int, companions: int, share: WorkerShare) -> int:
    """Returns how many flagged samples a batch holds, over all workers: at least one for each.

    Args:
        batch_size: Samples a batch, companions included, over all workers.
        companions: Trusted samples for each flagged one.
        share: The share of this worker.
    """
    for_each_worker = batch_size // (1 + companions) // share.world_size
    return max(1, for_each_worker) * share.world_size


def in_company(
    flagged: Iterable[ImageBatch],
    trusted: TrainingSet,
    *,
    key: int,
    companions: int,
    size: int,
    share: WorkerShare,
) -> Iterator[tuple[ImageBatch, ImageBatch]]:
    """Yields this worker's flagged batches, each with its companions.

    Args:
        flagged: Batches of at most `size` samples over all workers.
        trusted: Whence the companions are drawn, pass after pass.
        key: A random stream; the order of the companions is a function of it.
        companions: Trusted samples for each flagged one.
        size: Flagged samples of a full batch, over all workers.
        share: The share of this worker.
    """
    drawn = endless_batches(trusted, key, companions * size, share)
    for batch in flagged:
        beside = next(drawn)
        end = companions * len(batch.index)  # the last batch may be smaller
        yield batch, ImageBatch(beside.images[:end], beside.labels[:end], beside.index[:end])


def unlearn_in_company(
    worker: Worker,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    pairs: Iterable[tuple[ImageBatch, ImageBatch]],
    view: View,
    loss: Loss,
) -> float:
    """Trains a model on flagged batches that have companions, and returns the mean loss.

    Args:
        worker: This training process.
        model: The model, wrapped by the worker; it may be evaluated while the pairs are drawn.
        optimizer: Of its parameters.
        pairs: This worker's flagged batches and their companions.
        view: What the model sees of a batch.
        loss: Of logits and labels of the flagged samples.
    """
    mean_loss = RunningMean(worker)
    for flagged, beside in pairs:
        model.train()
        images = torch.cat((flagged.images, beside.images))
        index = torch.cat((flagged.index, beside.index))
        with autocast(worker.device):
            _, logits_BN = model(view(images, index.numpy()))
        num_flagged = len(flagged.labels)
        value = loss(logits_BN[:num_flagged].float(), flagged.labels)
        take_step(value, optimizer)
        mean_loss.add(value * num_flagged, num_flagged)
    worker.synchronize(model)
    return mean_loss.value()
