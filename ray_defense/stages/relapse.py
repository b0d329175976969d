"""Whether a backdoor comes back: ACC and ASR of a model after a few poisoned samples.

A defense may hide a backdoor and leave it in the weights, where a little fine-tuning finds it again
(Min et al., NeurIPS 2024). A model that never had it learns little from five samples.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.random import permutation, stream
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import Sgd

if TYPE_CHECKING:
    import torch

    from ray_defense.models.classifier import FeatureClassifier
    from ray_defense.store.truth import Truth


@dataclass(frozen=True)
class RelapseConfig:
    """Fine-tuning on a few poisoned samples among clean ones, which keep the accuracy."""

    num_poisoned: int = 0  # 0: not measured
    num_clean: int = 500
    epochs: int = 5
    batch_size: int = 64
    sgd: Sgd = Sgd(0.01)

    def __post_init__(self) -> None:
        check_at_least("evaluation.relapse.num_poisoned", self.num_poisoned, 0)
        check_at_least("evaluation.relapse.num_clean", self.num_clean, 0)
        check_at_least("evaluation.relapse.epochs", self.epochs, 1)
        check_at_least("evaluation.relapse.batch_size", self.batch_size, 2)


@dataclass(frozen=True)
class RelapseInputs:
    """What the fine-tuning takes; plain data that travels to a worker."""

    config: RelapseConfig
    seed: int
    suspect: Path  # the dataset
    index: np.ndarray  # int64 [n], the samples, ascending


def draw_relapse_samples(config: RelapseConfig, seed: int, truth: "Truth") -> np.ndarray:
    """Returns the indices of the samples to fine-tune on, int64, ascending.

    Args:
        config: How many poisoned and clean samples; there may be fewer.
        seed: Decides which.
        truth: Tells them apart.
    """
    drawn = []
    clean = ~(truth.poisoned | truth.cover)
    for name, members, count in (
        ("poisoned", truth.poisoned, config.num_poisoned),
        ("clean", clean, config.num_clean),
    ):
        candidates = truth.index[members]
        order = permutation(stream(seed, "relapse", name), len(candidates))
        drawn.append(candidates[order[:count]])
    return np.sort(np.concatenate(drawn))


def fine_tune(
    model: "FeatureClassifier",
    inputs: RelapseInputs,
    normalization: Normalization,
    device: "torch.device",
) -> None:
    """Fine-tunes a model in place on the samples, with their labels as received."""
    import torch

    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.losses.cross_entropy import cross_entropy
    from ray_defense.training.loop import take_step
    from ray_defense.training.views import to_float

    config = inputs.config
    dataset = SuspectDataset(inputs.suspect)
    positions = dataset.locate(inputs.index)
    images = torch.from_numpy(dataset.read_images(positions)).to(device)
    labels = torch.from_numpy(dataset.labels[positions]).to(device)
    optimizer = config.sgd.build(model.parameters())
    model.train()
    for epoch in range(config.epochs):
        order = permutation(stream(inputs.seed, "relapse", "order", epoch), len(positions))
        for start in range(0, len(order) - 1, config.batch_size):  # no last batch of one sample
            chosen = torch.from_numpy(order[start : start + config.batch_size]).to(device)
            with torch.enable_grad():
                view_BCHW = normalization.apply(to_float(images[chosen]))
                _, logits_BN = model(view_BCHW)
                take_step(cross_entropy(logits_BN, labels[chosen]), optimizer)
    model.eval()
