"""The loss after local gradient ascent (ABL, NeurIPS 2021) as a detector."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.label_networks import LabelNetworks, LabelTraining, label_networks
from ray_defense.detectors.protocol import Columns
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.scores.local_gradient_ascent import minus_loss
from ray_defense.training.settings import Sgd
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class LocalAscent:
    """Minus the cross-entropy of a sample under a network whose loss was held up at gamma."""

    name: ClassVar[str] = "local_ascent"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    training: LabelTraining = LabelTraining(folds=1, epochs=15, sgd=Sgd(0.1))
    gamma: float = 0.5

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        settings = LabelNetworks(self.training, loss="local_gradient_ascent", gamma=self.gamma)
        return (label_networks(self.name, settings),)

    def read(self, batch: "SampleBatch") -> Columns:
        (network,) = self.models
        return {self.name: minus_loss(batch.logits(network), batch.labels_B.cpu().numpy())}
