"""Samples that a model chooses by their loss while it is trained, kept in its checkpoints."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from ray_defense.data.training_set import ALONE, TrainingSet
from ray_defense.execution.protocols import Worker
from ray_defense.training.loop import autocast
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import make_view

LossOfSamples = Callable[[np.ndarray, np.ndarray], np.ndarray]  # logits [B, N], labels [B] -> [B]


class ChosenSamples:
    """The indices of chosen samples; none before they are chosen."""

    def __init__(self) -> None:
        self.index = np.zeros(0, np.int64)  # ascending

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns the state."""
        return {"index": torch.from_numpy(self.index)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state up."""
        self.index = state_dict["index"].cpu().numpy()


def lowest(losses_N: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the positions of the floor(fraction * N) smallest losses, at least one, ascending.

    Of equal losses the first one counts as smaller.
    """
    count = max(1, int(np.floor(np.round(fraction * len(losses_N), 6))))
    return np.sort(np.argsort(losses_N, kind="stable")[:count])


@torch.no_grad()
def measure_losses(
    worker: Worker,
    model: torch.nn.Module,
    data: TrainingSet,
    *,
    loss: LossOfSamples,
    normalization: Normalization,
    batch_size: int,
) -> np.ndarray:
    """Returns the loss of every sample of a set, float64 [N], the same on every worker.

    Args:
        worker: This training process.
        model: Is read in evaluation mode.
        data: The set; the losses are in the order of its index.
        loss: Of each sample of a batch.
        normalization: Of the images, which are not augmented.
        batch_size: Samples a forward pass.
    """
    model.eval()
    losses_N = np.zeros(len(data))
    view = partial(make_view, key=0, transforms=(), normalization=normalization)
    for batch in data.epoch(0, batch_size, ALONE):
        index_B = batch.index.numpy()
        with autocast(worker.device):
            _, logits_BN = model(view(batch.images, index_B))
        positions = np.searchsorted(data.index, index_B)
        losses_N[positions] = loss(logits_BN.float().cpu().numpy(), batch.labels.cpu().numpy())
    return losses_N
