"""Reads the local contrasts of samples, batch by batch, for a search of patterns.

Shapes: B images of a batch, M samples, D values of local contrast.
"""

from collections.abc import Iterator

import numpy as np
import torch

from ray_defense.core.random import stream
from ray_defense.data.training_set import TrainingSet, open_training_set
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Worker
from ray_defense.models.local_contrast import LocalContrast
from ray_defense.training.views import to_float

_BATCH = 500
_VALUE_BYTES = 4


class ContrastReader:
    """The samples of a dataset as local contrasts, and the random streams of one fold."""

    def __init__(self, worker: Worker, inputs: NetworkInputs, resident_bytes: int):
        self.worker = worker
        self.inputs = inputs
        self.resident_bytes = resident_bytes
        self.contrast = LocalContrast().to(worker.device)

    def open(self, index: np.ndarray) -> TrainingSet:
        """Returns the samples of these indices, int64, ascending."""
        directory = self.inputs.suspect.path
        return open_training_set(self.worker, directory, self.resident_bytes, select=index)

    def batches(self, data: TrainingSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields contrasts, float32 [B, D], and labels, int64 [B]."""
        for batch in data.epoch(self.key("order"), min(_BATCH, len(data))):
            images_BCHW = self.inputs.normalization.apply(to_float(batch.images))
            yield self.contrast(images_BCHW), batch.labels

    def read(self, index: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Returns the contrasts of samples, float32 [M, D], and their labels, int64 [M]."""
        parts = []
        labels = []
        for contrast_BD, labels_B in self.batches(self.open(index)):
            parts.append(contrast_BD)
            labels.append(labels_B.cpu().numpy())
        return torch.cat(parts), np.concatenate(labels)

    def key(self, *names: str | int) -> int:
        """Returns a random stream of this fold."""
        return stream(self.inputs.seed, self.inputs.networks.name, self.inputs.fold, *names)


def num_in_memory(max_bytes: int, num_values: int) -> int:
    """Returns how many rows of float32 values take no more than `max_bytes`."""
    return max_bytes // (_VALUE_BYTES * num_values)
