"""FT, the baseline of fine-tuning: the backdoored model learns clean images (App. C.4)."""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.core.checks import check_at_least
from ray_defense.defenses.clean_data import CleanDataRepair
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd


@dataclass(frozen=True)
class FineTuning(CleanDataRepair):
    """Cross-entropy on the clean images, under the augmentation of the backdoored model.

    The paper gives the number of epochs; the learning rate, which falls along a cosine to 0, and
    the size of a batch are those of BackdoorBench (NeurIPS 2022).
    """

    name: ClassVar[str] = "ft"
    title: ClassVar[str] = "FT"
    version: ClassVar[int] = 1

    epochs: int = 100
    batch_size: int = 256  # over all workers
    sgd: Sgd = Sgd(0.01)

    def __post_init__(self) -> None:
        check_at_least("ft.epochs", self.epochs, 1)
        check_at_least("ft.batch_size", self.batch_size, 2)

    @property
    def num_epochs(self) -> int:
        return self.epochs

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.ft_training import train_ft

        train_ft(self, worker, artifact, inputs)
