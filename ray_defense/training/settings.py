"""Settings of training: the optimizer, and a supervised training as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.resnet18 import ResNet18
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization
from ray_defense.transforms import AUGMENTATIONS
from ray_defense.transforms.crop_flip import CropFlip

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum."""

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        check_at_least("learning_rate", self.learning_rate, 0)
        check_at_least("momentum", self.momentum, 0)
        check_at_least("weight_decay", self.weight_decay, 0)

    def build(
        self, parameters: Iterable["torch.nn.Parameter"], *, nesterov: bool = False
    ) -> "torch.optim.SGD":
        """Returns the optimizer of some parameters, with Nesterov's momentum if it is asked for."""
        import torch

        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=nesterov and self.momentum > 0,
        )


@dataclass(frozen=True)
class SupervisedConfig:
    """A classifier trained by cross-entropy; the defaults are the paper's for CIFAR-10."""

    model: Any = choice(MODELS, default=ResNet18())
    epochs: int = 200
    milestones: tuple[int, ...] = (100, 150)  # epochs at which the rate falls to a tenth
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(0.01)
    augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        check_at_least("epochs", self.epochs, 1)
        check_at_least("batch_size", self.batch_size, 2)


@dataclass(frozen=True)
class SupervisedInputs:
    """What the training of a classifier takes."""

    config: SupervisedConfig
    seed: int
    dataset: Artifact
    normalization: Normalization
