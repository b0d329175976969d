"""NAD, the baseline of attention distillation: the backdoored model imitates a fine-tuned copy.

Source: Li et al., "Neural attention distillation" (NAD), ICLR 2021.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError
from ray_defense.defenses.clean_data import CleanDataRepair
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd


@dataclass(frozen=True)
class AttentionDistillation(CleanDataRepair):
    """The student minimizes cross-entropy plus beta times the distance of attention maps, Eq. (4).

    Teacher and student see the clean images under the augmentation of the backdoored model. The
    weights `betas` are those of the last stages of residual blocks, the last one for the last
    stage, so that networks with more stages leave their first ones out.
    """

    name: ClassVar[str] = "nad"
    title: ClassVar[str] = "NAD"
    version: ClassVar[int] = 1

    teacher_epochs: int = 10
    epochs: int = 20
    batch_size: int = 64  # over all workers
    sgd: Sgd = Sgd(0.1)  # of teacher and student
    milestones: tuple[int, ...] = (2,)  # epochs of both at which the rate falls to a tenth
    betas: tuple[float, ...] = (500.0, 1000.0, 1000.0)
    power: float = 2.0  # p of the attention maps

    def __post_init__(self) -> None:
        check_at_least("nad.teacher_epochs", self.teacher_epochs, 1)
        check_at_least("nad.epochs", self.epochs, 1)
        check_at_least("nad.batch_size", self.batch_size, 2)
        check_at_least("nad.power", self.power, 1e-6)
        if not self.betas:
            raise InputError("nad.betas must hold a weight or more: with none nothing is distilled")
        for beta in self.betas:
            check_at_least("nad.betas", beta, 0)

    @property
    def num_epochs(self) -> int:
        return self.teacher_epochs + self.epochs

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.nad_training import train_nad

        train_nad(self, worker, artifact, inputs)
