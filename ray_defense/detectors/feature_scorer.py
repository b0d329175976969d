"""Reads a dataset through models, block by block: any number of processes gives equal bits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.protocol import Detector
from ray_defense.detectors.required_models import RequiredModel
from ray_defense.detectors.sample_batch import OpenedModel, SampleBatch
from ray_defense.detectors.trained_weights import TrainedWeights
from ray_defense.execution.protocols import Backend
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.weights import load_model
from ray_defense.store.checked_files import checked_file
from ray_defense.training.loop import to_device
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import to_float


@dataclass(frozen=True)
class Block:
    """The rows low to high - 1 of one shard."""

    number: int
    shard: int
    low: int
    high: int


def cut_into_blocks(dataset: SuspectDataset, block_size: int) -> list[Block]:
    """Returns the blocks of a dataset in order; none crosses two shards."""
    blocks: list[Block] = []
    shards, counts = np.unique(dataset.shard, return_counts=True)
    for shard, count in zip(shards.tolist(), counts.tolist(), strict=True):
        for low in range(0, count, block_size):
            high = min(low + block_size, count)
            blocks.append(Block(number=len(blocks), shard=shard, low=low, high=high))
    return blocks


@dataclass(frozen=True)
class ScorerInputs:
    """What reading a dataset through some models takes."""

    seed: int
    suspect: Path  # directory of the dataset
    models: Mapping[RequiredModel, TrainedWeights]
    normalization: Normalization
    batch_size: int


class FeatureScorer:
    """Reads blocks as detectors see them.

    An image is read once, and what two detectors need of it is made once.
    """

    def __init__(self, inputs: ScorerInputs, device: torch.device, backend: Backend):
        self.inputs = inputs
        self.device = device
        self.reader = open_reader(inputs.suspect, backend)
        opened: dict[TrainedWeights, OpenedModel] = {}
        self.models: dict[RequiredModel, OpenedModel] = {}
        for required, weights in inputs.models.items():
            if weights not in opened:
                opened[weights] = self._open(weights)
            self.models[required] = opened[weights]

    def _open(self, weights: TrainedWeights) -> OpenedModel:
        num_classes = weights.num_classes or self.reader.dataset.num_classes
        networks: list[FeatureClassifier] = []
        for file in weights.files:
            network = load_model(checked_file(file), weights.network, num_classes)
            networks.append(to_device(network, self.device).eval())
        return OpenedModel(networks, weights.fold_key)

    def batches_of_block(self, block: Block) -> Iterator[SampleBatch]:
        """Yields the batches of a block."""
        rows = np.arange(block.low, block.high)
        for batch in self.reader.batches(block.shard, rows, self.inputs.batch_size):
            yield self.sample_batch(batch)

    def sample_batch(self, batch: ImageBatch) -> SampleBatch:
        """Returns some samples as detectors see them."""
        return SampleBatch(
            images_BCHW=to_float(batch.images.to(self.device)),
            labels_B=batch.labels.to(self.device),
            index_B=batch.index.numpy(),
            seed=self.inputs.seed,
            normalization=self.inputs.normalization,
            models=self.models,
        )


def scoring_patience_s(
    block_size: int, detectors: Sequence[Detector], num_models: int = 1
) -> float:
    """Returns how long, in seconds, nothing may be finished before scoring counts as stalled."""
    num_views = 1 + sum(detector.draws for detector in detectors)
    half_a_second_a_pass = 0.5 * block_size * num_views * num_models
    return 900 + half_a_second_a_pass
