"""The settings that SimCLR and SupCon share: those of D-ST, but for whose labels are used."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.protocol import Model
from ray_defense.models.resnet18 import ResNet18NoPool
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms import AUGMENTATIONS
from ray_defense.transforms.contrastive import Contrastive
from ray_defense.transforms.crop_flip import CropFlip


@dataclass(frozen=True)
class ContrastiveBaseline:
    """Contrastive learning, then a classifier by cross-entropy on the frozen extractor.

    The classifier learns all labels as received. The paper gives no schedule for it: it is that of
    D-ST's classifier.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    uses_labels: ClassVar[bool]  # whether samples of the same label attract each other
    positives: ClassVar[Literal["paper", "authors"]] = "paper"
    loss_scale: ClassVar[float] = 1.0
    version: ClassVar[int] = 1
    repairs: ClassVar[bool] = False
    needs: ClassVar[str] = "nothing"
    parts_used: ClassVar[tuple[str, ...]] = ()

    model: Any = choice(MODELS, default=ResNet18NoPool())
    epochs: int = 200  # of the extractor
    batch_size: int = 512  # over all workers
    sgd: Sgd = Sgd(0.5, weight_decay=1e-4)
    warmup_epochs: int = 10
    warmup_rate: float = 0.01
    final_rate_fraction: float = 1e-3  # the cosine ends at this fraction of the learning rate
    temperature: float = 0.1  # T
    projection_dim: int = 128
    augmentation: Any = choice(AUGMENTATIONS, default=Contrastive())
    classifier_epochs: int = 10
    classifier_batch_size: int = 512
    classifier_sgd: Sgd = Sgd(5.0, weight_decay=0.0)
    classifier_augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        for name in ("epochs", "projection_dim", "classifier_epochs", "classifier_batch_size"):
            check_at_least(f"{self.name}.{name}", getattr(self, name), 1)
        for name in ("warmup_epochs", "warmup_rate", "final_rate_fraction"):
            check_at_least(f"{self.name}.{name}", getattr(self, name), 0)
        check_at_least(f"{self.name}.batch_size", self.batch_size, 2)
        check_at_least(f"{self.name}.temperature", self.temperature, 1e-6)

    @property
    def num_epochs(self) -> int:
        return self.epochs + self.classifier_epochs

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        model: Model = self.model
        return model

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.contrastive_baseline_training import train_contrastive_baseline

        train_contrastive_baseline(self, worker, artifact, inputs)
