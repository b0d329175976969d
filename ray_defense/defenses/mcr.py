"""MCR, the baseline that takes a point of a curve between the backdoored model and a repaired one.

Source: Zhao et al., "Bridging mode connectivity in loss landscapes and adversarial robustness"
(MCR), ICLR 2020; the curve: Garipov et al., NeurIPS 2018.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.defenses.clean_data import CleanDataRepair
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd


@dataclass(frozen=True)
class ModeConnectivityRepair(CleanDataRepair):
    """A quadratic Bezier curve of models with low loss on the clean images, and one point of it.

    The curve starts (t = 0) at the backdoored model and ends (t = 1) at a copy of it, fine-tuned as
    FT does. Its bend starts half-way between both and is trained by cross-entropy at uniform t; the
    rate falls along a cosine to 0. At `position` the batch statistics are taken anew from the clean
    images.
    """

    name: ClassVar[str] = "mcr"
    title: ClassVar[str] = "MCR"
    version: ClassVar[int] = 1

    end_epochs: int = 100
    end_sgd: Sgd = Sgd(0.01)
    curve_epochs: int = 100
    curve_sgd: Sgd = Sgd(0.01, weight_decay=1e-4)  # of the bend
    batch_size: int = 256  # over all workers
    position: float = 0.3  # t of the model that is kept

    def __post_init__(self) -> None:
        check_at_least("mcr.end_epochs", self.end_epochs, 1)
        check_at_least("mcr.curve_epochs", self.curve_epochs, 1)
        check_at_least("mcr.batch_size", self.batch_size, 2)
        check_in_range("mcr.position", self.position, 0, 1)

    @property
    def num_epochs(self) -> int:
        return self.end_epochs + self.curve_epochs

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.mcr_training import train_mcr

        train_mcr(self, worker, artifact, inputs)
