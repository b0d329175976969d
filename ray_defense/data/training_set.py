"""The batches of an epoch, from a resident uint8 tensor or streamed from the shards, for one of several workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ray_defense.core.errors import Refused
from ray_defense.core.random import permutation, stream
from ray_defense.data.suspect_dataset import ImageBatch, ShardSet, open_reader
from ray_defense.execution.protocols import Backend, TrainJob, Worker

_READ = 1024  # images a read


@dataclass(frozen=True)
class Share:
    """Which part of every batch is this worker's."""

    rank: int = 0
    world_size: int = 1

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Returns this worker's part; all parts are equally long, so up to world_size - 1 positions are left out."""
        return positions[self.rank : len(positions) // self.world_size * self.world_size : self.world_size]


class TrainingSet:
    """Samples of a shard directory, `select`ed by index, as shuffled batches on the device.

    A set of at most `resident_bytes` of pixels is kept on the device and shuffled as a whole; a larger one is read
    from the shards in every epoch: shards in random order, rows in random order inside each.
    """

    def __init__(
        self,
        directory: Path,
        device: torch.device,
        backend: Backend,
        resident_bytes: int,
        select: np.ndarray | None = None,
    ):
        self._shards = ShardSet(directory)
        self._device = device
        self._reader = open_reader(directory, backend)
        chosen = np.arange(self._shards.num_samples) if select is None else self._shards.locate(np.sort(select))
        if not len(chosen):
            raise Refused(f"no sample of {directory} was selected: nothing to train on")
        self.index = self._shards.index[chosen]
        self._shard, self._row = self._shards.shard[chosen], self._shards.row[chosen]
        self._labels = torch.from_numpy(self._shards.labels[chosen]).to(device)
        size = len(chosen) * int(np.prod(self._shards.image_shape))
        self._images = self._load() if size <= resident_bytes else None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def resident(self) -> bool:
        """Whether the pixels are kept on the device."""
        return self._images is not None

    def _load(self) -> torch.Tensor:
        images = torch.empty((len(self), *self._shards.image_shape), dtype=torch.uint8, device=self._device)
        for shard in np.unique(self._shard):
            positions = np.flatnonzero(self._shard == shard)
            start = 0
            for batch in self._reader.batches(int(shard), self._row[positions], _READ):
                images[torch.from_numpy(positions[start : start + len(batch.index)])] = batch.images.to(self._device)
                start += len(batch.index)
        return images

    def num_steps(self, batch_size: int, share: Share = Share(), drop_last: bool = False) -> int:
        """Returns the number of batches of an epoch, the same on every worker; `batch_size` counts all workers."""
        if self.resident:
            full, rest = divmod(len(self), batch_size)
            return full + (not drop_last and rest >= share.world_size)
        local = batch_size // share.world_size
        least = int((np.unique(self._shard, return_counts=True)[1] // share.world_size).sum())
        return least // local + (not drop_last and least % local > 0)

    def epoch(self, key: int, batch_size: int, share: Share = Share(), drop_last: bool = False) -> Iterator[ImageBatch]:
        """Yields this worker's part of every batch of an epoch whose order is a function of `key`.

        `batch_size` counts all workers. The last batch may be smaller; with several workers it, and each streamed
        shard, leaves out fewer than world_size samples.
        """
        if batch_size % share.world_size:
            raise Refused(f"a batch of {batch_size} cannot be shared by {share.world_size} workers: make it a multiple")
        if not self.num_steps(batch_size, share, drop_last):
            raise Refused(f"{len(self)} samples give no batch of {batch_size} on {share.world_size} workers: make it smaller")
        return (self._shuffled if self.resident else self._streamed)(key, batch_size, share, drop_last)

    def _shuffled(self, key: int, batch_size: int, share: Share, drop_last: bool) -> Iterator[ImageBatch]:
        order = permutation(key, len(self))
        for step in range(self.num_steps(batch_size, share, drop_last)):
            positions = share.of(order[step * batch_size : (step + 1) * batch_size])
            where = torch.from_numpy(positions).to(self._device)
            yield ImageBatch(self._images[where], self._labels[where], torch.from_numpy(self.index[positions]))

    def _streamed(self, key: int, batch_size: int, share: Share, drop_last: bool) -> Iterator[ImageBatch]:
        local, steps = batch_size // share.world_size, self.num_steps(batch_size, share, drop_last)
        held: list[ImageBatch] = []
        for batch in self._stream(key, local, share):
            held.append(batch)
            while sum(len(part.index) for part in held) >= local and steps:
                joined = _join(held)
                yield self._to_device(_cut(joined, 0, local))
                held, steps = [_cut(joined, local, None)], steps - 1
        if steps:
            yield self._to_device(_cut(_join(held), 0, local))

    def _stream(self, key: int, local: int, share: Share) -> Iterator[ImageBatch]:
        shards = np.unique(self._shard)
        for shard in shards[permutation(stream(key, "shards"), len(shards))]:
            rows = self._row[self._shard == shard]
            order = share.of(rows[permutation(stream(key, "rows", int(shard)), len(rows))])
            yield from self._reader.batches(int(shard), order, local)

    def _to_device(self, batch: ImageBatch) -> ImageBatch:
        return ImageBatch(batch.images.to(self._device), batch.labels.to(self._device), batch.index)


def _join(parts: Sequence[ImageBatch]) -> ImageBatch:
    return ImageBatch(*(torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels", "index")))


def _cut(batch: ImageBatch, low: int, high: int | None) -> ImageBatch:
    return ImageBatch(batch.images[low:high], batch.labels[low:high], batch.index[low:high])


def open_training_set(worker: Worker, job: TrainJob, select: np.ndarray | None = None) -> TrainingSet:
    """Returns the suspect dataset of a training job (or the samples `select` of it) on the worker's device."""
    resident_bytes = job.config.workers.resident_bytes
    return TrainingSet(job.inputs["suspect"].path, worker.device, worker.backend, resident_bytes, select)
