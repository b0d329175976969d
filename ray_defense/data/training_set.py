"""The batches of an epoch, from a resident uint8 tensor or streamed from the shards.

Each of several workers gets its share of every batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ray_defense.core.errors import InputError
from ray_defense.core.on_device import send, upload
from ray_defense.core.random import permutation, stream
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.protocols import Backend, Worker

_READ_SIZE = 1024  # images read at a time


@dataclass(frozen=True)
class WorkerShare:
    """The part of every batch that one of several workers gets."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of(cls, worker: Worker) -> "WorkerShare":
        """Returns the share of a worker."""
        return cls(worker.rank, worker.world_size)

    def select(self, positions: np.ndarray) -> np.ndarray:
        """Returns this worker's part of some positions.

        All parts are equally long, so up to world_size - 1 positions are left out.
        """
        end = len(positions) // self.world_size * self.world_size
        return positions[self.rank : end : self.world_size]


ALONE = WorkerShare()


class TrainingSet:
    """Samples of a suspect dataset as shuffled batches on the device.

    A set of at most `resident_bytes` of pixels is kept on the device and shuffled as a whole. A
    larger one is read from the shards in every epoch: shards in random order, rows in random order
    inside each.

    Attributes:
        index: The indices of its samples, int64 [N], ascending.
    """

    def __init__(
        self,
        directory: Path,
        device: torch.device,
        backend: Backend,
        resident_bytes: int,
        select: np.ndarray | None = None,
    ):
        """Opens the set.

        Args:
            directory: The suspect dataset.
            device: Where batches go.
            backend: Who reads the shards.
            resident_bytes: The most bytes of pixels that are kept on the device.
            select: The indices of the samples that belong to the set; None for all.

        Raises:
            InputError: If no sample is selected, or an unknown one.
        """
        self._dataset = SuspectDataset(directory)
        self._device = device
        self._reader = open_reader(directory, backend)
        if select is None:
            chosen = np.arange(self._dataset.num_samples)
        else:
            chosen = self._dataset.locate(np.sort(select))
        if not len(chosen):
            raise InputError(f"no sample of {directory} was selected: nothing to train on")
        self.index = self._dataset.index[chosen]
        self._shard = self._dataset.shard[chosen]
        self._row = self._dataset.row[chosen]
        self._labels = torch.from_numpy(self._dataset.labels[chosen]).to(device)
        num_bytes = len(chosen) * int(np.prod(self._dataset.image_shape))
        self._images = self._load() if num_bytes <= resident_bytes else None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def resident(self) -> bool:
        """Whether the pixels are kept on the device."""
        return self._images is not None

    @property
    def num_classes(self) -> int:
        """The number of classes of the dataset."""
        return self._dataset.num_classes

    def labels_of_index(self) -> np.ndarray:
        """Returns the labels as received, int64 [N], in the order of `index`."""
        labels: np.ndarray = self._labels.cpu().numpy()
        return labels

    def _load(self) -> torch.Tensor:
        shape = (len(self), *self._dataset.image_shape)
        images = torch.empty(shape, dtype=torch.uint8, device=self._device)
        for shard in np.unique(self._shard):
            positions = np.flatnonzero(self._shard == shard)
            start = 0
            for batch in self._reader.batches(int(shard), self._row[positions], _READ_SIZE):
                end = start + len(batch.index)
                images[upload(positions[start:end], self._device)] = batch.images.to(self._device)
                start = end
        return images

    def num_steps(
        self, batch_size: int, share: WorkerShare = ALONE, drop_last: bool = False
    ) -> int:
        """Returns the number of batches of an epoch, the same on every worker.

        Args:
            batch_size: Samples a batch, over all workers.
            share: The share of this worker.
            drop_last: Whether a smaller last batch is left out.
        """
        if self.resident:
            full, rest = divmod(len(self), batch_size)
            return full + (not drop_last and rest >= share.world_size)
        local_size = batch_size // share.world_size
        _, counts = np.unique(self._shard, return_counts=True)
        fewest = int((counts // share.world_size).sum())  # samples of the worker that has least
        return fewest // local_size + (not drop_last and fewest % local_size > 0)

    def epoch(
        self, key: int, batch_size: int, share: WorkerShare = ALONE, drop_last: bool = False
    ) -> Iterator[ImageBatch]:
        """Returns this worker's part of every batch of an epoch.

        The last batch may be smaller. With several workers it, and each streamed shard, leaves out
        fewer than world_size samples.

        Args:
            key: A random stream; the order is a function of it.
            batch_size: Samples a batch, over all workers.
            share: The share of this worker.
            drop_last: Whether a smaller last batch is left out.

        Raises:
            InputError: If the batch cannot be shared evenly, or there is no batch.
        """
        if batch_size % share.world_size:
            raise InputError(
                f"a batch of {batch_size} cannot be shared by {share.world_size} workers: "
                "make it a multiple"
            )
        if not self.num_steps(batch_size, share, drop_last):
            raise InputError(
                f"{len(self)} samples give no batch of {batch_size} on {share.world_size} workers: "
                "make it smaller"
            )
        if self._images is not None:
            return self._shuffled(self._images, key, batch_size, share=share, drop_last=drop_last)
        return self._streamed(key, batch_size, share, drop_last=drop_last)

    def _shuffled(
        self, images: torch.Tensor, key: int, batch_size: int, share: WorkerShare, drop_last: bool
    ) -> Iterator[ImageBatch]:
        order = permutation(key, len(self))
        for step in range(self.num_steps(batch_size, share, drop_last)):
            positions = share.select(order[step * batch_size : (step + 1) * batch_size])
            chosen = upload(positions, self._device)
            index = torch.from_numpy(self.index[positions])
            yield ImageBatch(images[chosen], self._labels[chosen], index)

    def _streamed(
        self, key: int, batch_size: int, share: WorkerShare, drop_last: bool
    ) -> Iterator[ImageBatch]:
        local_size = batch_size // share.world_size
        steps_left = self.num_steps(batch_size, share, drop_last)
        held: list[ImageBatch] = []
        for batch in self._stream(key, local_size, share):
            held.append(batch)
            while sum(len(part.index) for part in held) >= local_size and steps_left:
                joined = _joined(held)
                yield self._on_device(_rows(joined, 0, local_size))
                held = [_rows(joined, local_size, None)]
                steps_left -= 1
        if steps_left:
            yield self._on_device(_rows(_joined(held), 0, local_size))

    def _stream(self, key: int, local_size: int, share: WorkerShare) -> Iterator[ImageBatch]:
        shards = np.unique(self._shard)
        for shard in shards[permutation(stream(key, "shards"), len(shards))]:
            rows = self._row[self._shard == shard]
            order = permutation(stream(key, "rows", int(shard)), len(rows))
            yield from self._reader.batches(int(shard), share.select(rows[order]), local_size)

    def _on_device(self, batch: ImageBatch) -> ImageBatch:
        images = send(batch.images, self._device)
        return ImageBatch(images, send(batch.labels, self._device), batch.index)


def _joined(parts: Sequence[ImageBatch]) -> ImageBatch:
    return ImageBatch(
        images=torch.cat([part.images for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        index=torch.cat([part.index for part in parts]),
    )


def _rows(batch: ImageBatch, low: int, high: int | None) -> ImageBatch:
    return ImageBatch(batch.images[low:high], batch.labels[low:high], batch.index[low:high])


def open_training_set(
    worker: Worker, directory: Path, resident_bytes: int, select: np.ndarray | None = None
) -> TrainingSet:
    """Returns a suspect dataset, or the samples `select` of it, on the device of a worker."""
    return TrainingSet(
        directory, worker.device, worker.backend, resident_bytes=resident_bytes, select=select
    )
