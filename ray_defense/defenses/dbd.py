"""DBD, the baseline that decouples training: extractor, classifier, then semi-supervised learning.

Source: Huang et al., "Backdoor defense via decoupling the training process" (DBD), ICLR 2022.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ray_defense.core.checks import check_at_least, check_in_range
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
class Decoupling:
    """SimCLR trains the extractor, symmetric cross-entropy a classifier on it; then MixMatch.

    The samples with the lowest symmetric cross-entropy keep their labels in MixMatch, those of the
    others are thrown away. They are chosen once, after the classifier; `split="every_epoch"`
    chooses them anew before each epoch of MixMatch, as the code of the paper does.
    """

    name: ClassVar[str] = "dbd"
    title: ClassVar[str] = "DBD"
    version: ClassVar[int] = 1
    repairs: ClassVar[bool] = False
    needs: ClassVar[str] = "nothing"
    parts_used: ClassVar[tuple[str, ...]] = ()
    # Of its SimCLR: a cosine from the first step to 0.
    warmup_epochs: ClassVar[int] = 0
    warmup_rate: ClassVar[float] = 0.0
    final_rate_fraction: ClassVar[float] = 0.0
    loss_scale: ClassVar[float] = 1.0
    positives: ClassVar[Literal["paper", "authors"]] = "paper"

    model: Any = choice(MODELS, default=ResNet18NoPool())
    epochs: int = 1000  # of SimCLR
    batch_size: int = 512  # over all workers
    sgd: Sgd = Sgd(0.4, weight_decay=1e-4)
    temperature: float = 0.5  # of SimCLR
    projection_dim: int = 128
    augmentation: Any = choice(AUGMENTATIONS, default=Contrastive())
    blur_fraction: float = 0.5  # probability of a blurred view
    classifier_epochs: int = 10
    classifier_batch_size: int = 128
    classifier_augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())  # and of MixMatch
    learning_rate: float = 0.002  # of Adam, which trains the classifier and then everything
    labeled_fraction: float = 0.5  # of all samples, that keep their labels
    split: Literal["once", "every_epoch"] = "once"
    mixmatch_epochs: int = 190
    mixmatch_steps: int = 1024  # an epoch
    mixmatch_batch_size: int = 64  # labeled, and as many unlabeled, over all workers
    sharpening: float = 0.5  # T of MixMatch
    mixup_alpha: float = 0.75  # of the Beta distribution
    unlabeled_weight: float = 15.0  # lambda_u
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        counts = ("epochs", "projection_dim", "classifier_epochs", "mixmatch_epochs")
        for name in (*counts, "mixmatch_steps"):
            check_at_least(f"dbd.{name}", getattr(self, name), 1)
        for name in ("batch_size", "classifier_batch_size", "mixmatch_batch_size"):
            check_at_least(f"dbd.{name}", getattr(self, name), 2)
        for name in ("temperature", "sharpening", "mixup_alpha"):
            check_at_least(f"dbd.{name}", getattr(self, name), 1e-6)
        for name in ("learning_rate", "unlabeled_weight"):
            check_at_least(f"dbd.{name}", getattr(self, name), 0)
        for name in ("blur_fraction", "labeled_fraction"):
            check_in_range(f"dbd.{name}", getattr(self, name), 0, 1)

    @property
    def num_epochs(self) -> int:
        return self.epochs + self.classifier_epochs + self.mixmatch_epochs

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        model: Model = self.model
        return model

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.dbd_training import train_dbd

        train_dbd(self, worker, artifact, inputs)
