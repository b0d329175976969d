"""D-ST (Algorithm 3): SS-CTL trains an extractor from scratch, then MCE a classifier on it."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice, departure
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
class SecureTraining:
    """D-ST; the defaults are the paper's for CIFAR-10."""

    name: ClassVar[str] = "d_st"
    title: ClassVar[str] = "D-ST"
    version: ClassVar[int] = 2
    repairs: ClassVar[bool] = False
    needs: ClassVar[str] = "a split"
    parts_used: ClassVar[tuple[str, ...]] = ("trusted",)

    model: Any = choice(MODELS, default=ResNet18NoPool())
    epochs: int = 200  # e_e, of SS-CTL
    batch_size: int = 512  # over all workers
    sgd: Sgd = Sgd(0.5, weight_decay=1e-4)
    warmup_epochs: int = 10
    warmup_rate: float = 0.01
    final_rate_fraction: float = 1e-3  # the cosine ends at this fraction of the learning rate
    temperature: float = 0.1  # T
    loss_scale: float = 1.0  # the authors' code multiplies the loss by T / 0.07
    positives: Literal["paper", "authors"] = "paper"  # D3
    labels_used: Literal["trusted", "none", "all"] = "trusted"  # none, all: Table 3's CTL, S-CTL
    projection_dim: int = 128
    augmentation: Any = choice(AUGMENTATIONS, default=Contrastive())
    classifier_epochs: int = 10  # e_c, of MCE
    classifier_batch_size: int = 512
    classifier_sgd: Sgd = Sgd(5.0, weight_decay=0.0)
    classifier_augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())
    flagged_weight: float = 0.001  # lambda_p
    mce_means: Literal["sets", "batch"] = departure("sets")  # what those of Eq. (3) are over (D9)
    # Beyond the paper: epochs of plain cross-entropy on all samples that are not flagged, with the
    # extractor trained along. 0: none, as in the paper.
    tuning_epochs: int = 0
    tuning_batch_size: int = 128
    tuning_sgd: Sgd = Sgd(0.01)
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        for name in ("epochs", "projection_dim", "classifier_epochs", "classifier_batch_size"):
            check_at_least(f"d_st.{name}", getattr(self, name), 1)
        for name in ("warmup_epochs", "warmup_rate", "final_rate_fraction", "loss_scale"):
            check_at_least(f"d_st.{name}", getattr(self, name), 0)
        check_at_least("d_st.tuning_epochs", self.tuning_epochs, 0)
        check_at_least("d_st.tuning_batch_size", self.tuning_batch_size, 2)
        check_at_least("d_st.flagged_weight", self.flagged_weight, 0)
        check_at_least("d_st.batch_size", self.batch_size, 2)
        check_at_least("d_st.temperature", self.temperature, 1e-6)

    @property
    def num_epochs(self) -> int:
        return self.epochs + self.classifier_epochs + self.tuning_epochs

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        model: Model = self.model
        return model

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.d_st_training import train_d_st

        train_d_st(self, worker, artifact, inputs)
