"""A tiny network, its batches and six epochs of training, to test the loop around them."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ray_defense.core.random import uniform
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.execution.local import LocalWorker
from ray_defense.execution.protocols import Metrics
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.store.artifacts import Store
from ray_defense.training.loop import Stateful, run_epochs
from ray_defense.training.schedules import set_rate, step_decay
from ray_defense.training.settings import Sgd
from ray_defense.training.supervised import train_epoch
from ray_defense.training.views import make_view
from tests.support.steps import CPU, HALF

NUM_EPOCHS = 6

half_view = partial(make_view, key=0, transforms=(), normalization=HALF)


class Net(torch.nn.Module):
    """A network with BatchNorm buffers, whose forward gives features and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(12, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
        )
        self.classifier = torch.nn.Linear(8, 3)

    def forward(self, images_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BD = self.body(images_BCHW)
        return features_BD, self.classifier(features_BD)


def make_net() -> Net:
    """Returns the network with the same weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


def make_batches(count: int = 4, size: int = 5) -> list[ImageBatch]:
    """Returns batches of images of 2 x 2 pixels, their labels 0, 1, 2, 0, ... by index."""
    batches = []
    for index in np.arange(count * size).reshape(count, size):
        pixels = (255 * uniform(1, index, 12)).astype(np.uint8).reshape(size, 2, 2, 3)
        labels = torch.from_numpy(index % 3)
        batches.append(ImageBatch(torch.from_numpy(pixels), labels, torch.from_numpy(index)))
    return batches


def make_worker(root: Path) -> LocalWorker:
    """Returns the worker of a probe's training in the store at `root`."""
    artifact = Store(root).locate("probe", 1, {}, {})
    artifact.scratch.mkdir(parents=True, exist_ok=True)
    return LocalWorker(artifact, NUM_EPOCHS, CPU, "numpy")


class SmallTraining:
    """Six epochs of a fresh network and optimizer in the store at `root`."""

    def __init__(self, root: Path, stop_in: int | None = None, nan_in: int | None = None):
        """Creates the training.

        Args:
            root: Where its checkpoint stands.
            stop_in: The epoch, from 0, in the middle of which it is killed.
            nan_in: The epoch whose loss is not a number.
        """
        self.net = make_net()
        self.worker = make_worker(root)
        self.optimizer = Sgd(0.1).build(self.net.parameters())
        self.stop_in = stop_in
        self.nan_in = nan_in
        self.finished_epochs: list[int] = []

    def run(self) -> Net:
        """Trains all epochs that are not in the checkpoint and returns the network."""
        parts: dict[str, Stateful] = {"model": self.net, "optimizer": self.optimizer}
        epochs = [partial(self._run_epoch, number) for number in range(NUM_EPOCHS)]
        history = run_epochs(self.worker, parts, epochs)
        assert len(history) == NUM_EPOCHS
        return self.net

    def _run_epoch(self, number: int) -> Metrics:
        set_rate(self.optimizer, step_decay(0.1, number, (3,)))
        batches = make_batches()
        metrics = self._train(batches[:2])
        if number == self.stop_in:
            raise KeyboardInterrupt
        self._train(batches[2:])
        self.finished_epochs.append(number)
        if number == self.nan_in:
            metrics["loss"] = math.nan
        return metrics

    def _train(self, batches: list[ImageBatch]) -> Metrics:
        return train_epoch(
            self.worker,
            self.net,
            self.optimizer,
            batches=batches,
            view=half_view,
            loss=cross_entropy,
        )
