"""The trigger gap: a label that only a network which sees triggers believes.

Two kinds of networks learn the labels, out of fold: one sees images as they are, triggers included;
the other sees them under strong transforms, in which most triggers do not survive. Where the second
disagrees with a wrong label and the first is sure of it, something in the pixels stands for it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ray_defense.core.config import choice
from ray_defense.detectors.label_networks import LabelNetworks, LabelTraining, label_networks
from ray_defense.detectors.protocol import Columns
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.scores.log_softmax import log_softmax
from ray_defense.transforms import AUGMENTATIONS
from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class TriggerGap:
    """log p(y|x) of a plain network less that of one trained under strong transforms.

    The score is 0 where the second predicts the label. `trigger_gap_all` is the difference for all
    samples.
    """

    name: ClassVar[str] = "trigger_gap"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    training: LabelTraining = LabelTraining()
    strong: Any = choice(AUGMENTATIONS, default=Contrastive())

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}_all")

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        return (self._networks("plain", ()), self._networks("strong", (self.strong,)))

    def _networks(self, kind: str, augmentation: tuple[Transform, ...]) -> SmallNetworks:
        settings = LabelNetworks(self.training, augmentation)
        return label_networks(f"{self.name}_{kind}", settings)

    def read(self, batch: "SampleBatch") -> Columns:
        plain, strong = self.models
        labels_B = batch.labels_B.cpu().numpy()
        _, of_plain_B, _ = log_softmax(batch.logits(plain), labels_B)
        log_strong_BN, of_strong_B, _ = log_softmax(batch.logits(strong), labels_B)
        gap_B = of_plain_B - of_strong_B
        disagrees_B = log_strong_BN.argmax(axis=1) != labels_B
        return {self.name: np.where(disagrees_B, gap_B, 0.0), f"{self.name}_all": gap_B}
