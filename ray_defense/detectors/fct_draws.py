"""FCT over many draws: a clean image moves far under an unlucky transform, but not under all.

A low quantile of the distances of K draws tells it from an image with a trigger, which moves far
under every one. The probe is trained by cross-entropy alone, so that it stays a working classifier.

Shapes: B samples, N classes, K draws, C channels.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import Backdoored, Probe, RequiredModel
from ray_defense.scores.feature_consistency import feature_consistency, reduce_draws
from ray_defense.scores.log_softmax import log_softmax
from ray_defense.transforms import TRANSFORMS
from ray_defense.transforms.affine import Affine
from ray_defense.transforms.protocol import Transform
from ray_defense.transforms.rotate import Rotate

if TYPE_CHECKING:
    import torch

    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class FctDraws:
    """A low quantile and the minimum of many distances, at the features and at earlier blocks.

    Its columns are the quantile of the distances between features, the minimum (`_min`), the same
    one and more residual blocks before the last (`_back_1`, `_back_1_min`, ...), and how much the
    log-probability of the label falls on average (`_label_drop`). The evidence's metric
    `train_accuracy` is the share of samples whose label the model predicts.
    """

    name: ClassVar[str] = "fct_draws"

    tau: tuple[Transform, ...] = choice(TRANSFORMS, default=(Rotate(), Affine()))
    draws: int = 32  # K, of tau
    quantile: float = 0.1  # of the K distances
    num_earlier_blocks: int = 2  # before the last, whose average over positions is the features

    def __post_init__(self) -> None:
        if not self.tau:
            raise InputError(f"tau is empty: name one or more of {', '.join(TRANSFORMS)}")
        check_at_least("draws", self.draws, 1)
        check_in_range("quantile", self.quantile, 0, 1)
        check_at_least("num_earlier_blocks", self.num_earlier_blocks, 0)

    @property
    def columns(self) -> tuple[str, ...]:
        names: list[str] = []
        for layer in self._layer_names:
            names.extend((layer, f"{layer}_min"))
        return (*names, f"{self.name}_label_drop")

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        return (Probe(intra=False),)

    @property
    def _layer_names(self) -> list[str]:
        names = [self.name]
        for number in range(1, self.num_earlier_blocks + 1):
            names.append(f"{self.name}_back_{number}")
        return names

    def read(self, batch: "SampleBatch") -> Columns:
        (model,) = self.models
        clean = batch.outputs(model)
        if len(clean.blocks) <= self.num_earlier_blocks:
            raise InputError(
                f"{self.name}.num_earlier_blocks is {self.num_earlier_blocks}, and the network "
                f"has {len(clean.blocks)} residual blocks: set it lower"
            )
        # All draws are queued before the first number is fetched: a GPU works through them.
        distances: dict[str, list[torch.Tensor]] = {layer: [] for layer in self._layer_names}
        moved_logits = []
        for draw in range(self.draws):
            moved = batch.outputs(model, self.tau, draw)
            of_features = feature_consistency(clean.features_BD, moved.features_BD)
            distances[self.name].append(of_features)
            for number, layer in enumerate(self._layer_names[1:], start=1):
                before_BC = clean.blocks[-1 - number]
                after_BC = moved.blocks[-1 - number]
                distances[layer].append(feature_consistency(before_BC, after_BC))
            moved_logits.append(moved.logits_BN)
        labels_B = batch.labels_B.cpu().numpy()
        clean_log_B = _log_probability_of_labels(clean.logits_BN, labels_B)
        drops = []
        for logits_BN in moved_logits:
            drops.append(clean_log_B - _log_probability_of_labels(logits_BN, labels_B))
        columns: Columns = {}
        for layer, of_layer in distances.items():
            distances_KB = np.stack([distances_B.cpu().numpy() for distances_B in of_layer])
            columns[layer] = reduce_draws(distances_KB, self.quantile)
            columns[f"{layer}_min"] = reduce_draws(distances_KB, 0.0)
        columns[f"{self.name}_label_drop"] = reduce_draws(np.stack(drops), "mean")
        predicted_B = clean.logits_BN.argmax(1).cpu().numpy()
        columns[f"{self.name}_is_right"] = (predicted_B == labels_B).astype(np.float64)
        return columns

    def finish(self, gathered: "Gathered") -> Finished:
        columns = {name: gathered.columns[name] for name in self.columns}
        accuracy = float(gathered.columns[f"{self.name}_is_right"].mean())
        return Finished(columns, {"train_accuracy": accuracy})


@dataclass(frozen=True)
class FctBackdoored(FctDraws):
    """The same columns, read from the backdoored model that D-BR repairs."""

    name: ClassVar[str] = "fct_backdoored"

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        return (Backdoored(),)


def _log_probability_of_labels(logits_BN: "torch.Tensor", labels_B: np.ndarray) -> np.ndarray:
    _, of_label_B, _ = log_softmax(logits_BN.float().cpu().numpy(), labels_B)
    return of_label_B
