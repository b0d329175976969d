"""Reads what models make of a dataset, block by block: any number of processes gives equal bits.

Shapes: B samples of a batch, D features, N classes, K draws of a transform.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ray_defense.core.random import stream
from ray_defense.data.shards.open_reader import open_reader
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.protocol import Detector
from ray_defense.execution.protocols import Backend
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.protocol import Model
from ray_defense.models.weights import load_model
from ray_defense.scores.feature_consistency import feature_consistency
from ray_defense.training.loop import to_device
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import to_float
from ray_defense.transforms.compose import apply_all


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


def draw_key(seed: int, draw: int) -> int:
    """Returns the random stream of a detector's draw (from 0) of its transform."""
    return stream(seed, "score", "draw", draw)


@dataclass(frozen=True)
class ScorerInputs:
    """What reading a dataset through some models takes."""

    seed: int
    suspect: Path  # directory of the dataset
    model: Model
    weights: tuple[Path, ...]  # of models of this shape
    normalization: Normalization
    detectors: tuple[Detector, ...]
    batch_size: int


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What one model makes of a batch."""

    features_BD: torch.Tensor  # float, of the clean view
    logits_BN: torch.Tensor  # float, of the clean view
    scores: list[np.ndarray]  # float64 [B] for each detector


class FeatureScorer:
    """Reads blocks through models of one shape, scored by one or more detectors.

    An image is read once, transformed and normalized once for all models, and its clean view
    passes each model once.
    """

    def __init__(self, inputs: ScorerInputs, device: torch.device, backend: Backend):
        self.inputs = inputs
        self.device = device
        self.reader = open_reader(inputs.suspect, backend)
        num_classes = self.reader.dataset.num_classes
        self.models: list[FeatureClassifier] = []
        for path in inputs.weights:
            model = load_model(path, inputs.model, num_classes)
            self.models.append(to_device(model, device).eval())

    def outputs_of_block(self, block: Block) -> Iterator[tuple[ImageBatch, list[ModelOutputs]]]:
        """Yields the batches of a block, each with the outputs of every model."""
        rows = np.arange(block.low, block.high)
        for batch in self.reader.batches(block.shard, rows, self.inputs.batch_size):
            yield batch, self.outputs(batch.images.to(self.device), batch.index.numpy())

    @torch.no_grad()
    def outputs(self, images_BHWC: torch.Tensor, index_B: np.ndarray) -> list[ModelOutputs]:
        """Returns what each model makes of some images.

        Args:
            images_BHWC: uint8, on the device.
            index_B: The indices of the samples, int [B].
        """
        images_BCHW = to_float(images_BHWC)
        clean_BCHW = self.inputs.normalization.apply(images_BCHW)
        outputs = []
        for model in self.models:
            features_BD, logits_BN = model(clean_BCHW)
            outputs.append(ModelOutputs(features_BD, logits_BN, scores=[]))
        for detector in self.inputs.detectors:
            for number, distances_KB in enumerate(
                self._distances(detector, images_BCHW, index_B, outputs)
            ):
                outputs[number].scores.append(detector.score(distances_KB))
        return outputs

    def _distances(
        self,
        detector: Detector,
        images_BCHW: torch.Tensor,
        index_B: np.ndarray,
        outputs: Sequence[ModelOutputs],
    ) -> list[np.ndarray]:
        """Returns, for each model, how far features moved under each draw, float64 [K, B]."""
        distances: list[list[np.ndarray]] = [[] for _ in self.models]
        for draw in range(detector.draws):
            key = draw_key(self.inputs.seed, draw)
            transformed_BCHW = apply_all(detector.tau, images_BCHW, key, index_B)
            view_BCHW = self.inputs.normalization.apply(transformed_BCHW)
            for number, model in enumerate(self.models):
                transformed_BD, _ = model(view_BCHW)
                moved_B = feature_consistency(outputs[number].features_BD, transformed_BD)
                distances[number].append(moved_B.cpu().numpy())
        return [np.stack(of_model) for of_model in distances]


def scoring_patience_s(
    block_size: int, detectors: Sequence[Detector], num_models: int = 1
) -> float:
    """Returns how long, in seconds, nothing may be finished before scoring counts as stalled."""
    num_views = 1 + sum(detector.draws for detector in detectors)
    half_a_second_a_pass = 0.5 * block_size * num_views * num_models
    return 900 + half_a_second_a_pass
