"""Symmetric cross-entropy (DBD, ICLR 2022) as a detector, in both directions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.label_networks import LabelNetworks, LabelTraining, label_networks
from ray_defense.detectors.protocol import Columns
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.scores.symmetric_cross_entropy import symmetric_cross_entropy
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class SymmetricCrossEntropy:
    """Minus the loss of a sample under a network that learned from it.

    A network that learned the trigger has small losses on poisoned samples. The other direction,
    in which DBD holds large losses suspicious, is `symmetric_ce_large`.
    """

    name: ClassVar[str] = "symmetric_ce"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    training: LabelTraining = LabelTraining(folds=1)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}_large")

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        return (label_networks(self.name, LabelNetworks(self.training)),)

    def read(self, batch: "SampleBatch") -> Columns:
        (network,) = self.models
        labels_B = batch.labels_B.cpu().numpy()
        loss_B = symmetric_cross_entropy(batch.logits(network), labels_B)
        return {self.name: -loss_B, f"{self.name}_large": loss_B}
