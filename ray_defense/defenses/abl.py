"""ABL, the baseline that isolates samples by their loss and unlearns them.

Source: Li et al., "Anti-backdoor learning: training clean models on poisoned data" (ABL), NeurIPS
2021.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.protocol import Model
from ray_defense.models.resnet18 import ResNet18
from ray_defense.scores.local_gradient_ascent import AscentVariant
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms import AUGMENTATIONS
from ray_defense.transforms.crop_flip import CropFlip


@dataclass(frozen=True)
class AntiBackdoorLearning:
    """A model of its own learns, is asked which samples it learned too well, and unlearns them.

    First the model is tuned on all samples while local gradient ascent holds the loss of clean ones
    up at gamma; the samples with the smallest loss are isolated; the model is fine-tuned on the
    others; then it unlearns the isolated ones by gradient ascent. It needs nothing but the suspect
    dataset. The model after the last epoch is kept.
    """

    name: ClassVar[str] = "abl"
    title: ClassVar[str] = "ABL"
    version: ClassVar[int] = 1
    repairs: ClassVar[bool] = False
    needs: ClassVar[str] = "nothing"
    parts_used: ClassVar[tuple[str, ...]] = ()

    model: Any = choice(MODELS, default=ResNet18())
    tuning_epochs: int = 20
    gamma: float = 0.5  # where local gradient ascent holds the loss
    ascent: AscentVariant = "sign"  # the paper's; the default of its code is "flooding"
    isolated_fraction: float = 0.01  # of all samples
    finetuning_epochs: int = 60  # on the samples that are not isolated
    milestones: tuple[int, ...] = (40, 60)  # of these epochs, at which the rate falls to a tenth
    unlearning_epochs: int = 5
    unlearning_rate: float = 5e-4
    batch_size: int = 64  # over all workers
    sgd: Sgd = Sgd(0.1, weight_decay=1e-4)  # with Nesterov's momentum
    augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())  # not of unlearning
    cutout_fraction: float = 3 / 32  # side of the square that is cut out, of the image's; 0: none
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        for name in ("tuning_epochs", "finetuning_epochs", "unlearning_epochs"):
            check_at_least(f"abl.{name}", getattr(self, name), 1)
        check_at_least("abl.gamma", self.gamma, 0)
        check_at_least("abl.unlearning_rate", self.unlearning_rate, 0)
        check_at_least("abl.batch_size", self.batch_size, 2)
        check_in_range("abl.isolated_fraction", self.isolated_fraction, 0, 1)
        check_in_range("abl.cutout_fraction", self.cutout_fraction, 0, 1)

    @property
    def num_epochs(self) -> int:
        return self.tuning_epochs + self.finetuning_epochs + self.unlearning_epochs

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        model: Model = self.model
        return model

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.abl_training import train_abl

        train_abl(self, worker, artifact, inputs)
