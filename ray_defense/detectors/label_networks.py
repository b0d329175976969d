"""Networks that detectors train on the labels as received, each without one fold."""

from dataclasses import dataclass
from typing import Any, Literal

from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd
from ray_defense.transforms.protocol import Transform

VERSION = 1
LabelLoss = Literal["cross_entropy", "local_gradient_ascent"]


@dataclass(frozen=True)
class LabelTraining:
    """How the networks are trained, on a cosine."""

    model: Any = choice(MODELS, default=SmallResNet())
    folds: int = 2  # 1: one network learns from all samples and reads them
    epochs: int = 10
    batch_size: int = 128
    sgd: Sgd = Sgd(0.05)
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("training.folds", self.folds, 1)
        check_at_least("training.epochs", self.epochs, 1)
        check_at_least("training.batch_size", self.batch_size, 2)


@dataclass(frozen=True)
class LabelNetworks:
    """What identifies some networks that learn labels."""

    training: LabelTraining
    augmentation: tuple[Transform, ...] = ()
    loss: LabelLoss = "cross_entropy"
    gamma: float = 0.5  # of local gradient ascent

    @property
    def workers(self) -> WorkerGroup:
        return self.training.workers

    @property
    def num_epochs(self) -> int:
        return self.training.epochs


def label_networks(name: str, settings: LabelNetworks) -> SmallNetworks:
    """Returns networks that learn the labels of the dataset.

    Args:
        name: Of the artifacts and of the random streams.
        settings: How they are trained.
    """
    return SmallNetworks(
        name=name,
        version=VERSION,
        training=settings,
        network=settings.training.model,
        num_folds=settings.training.folds,
        num_classes=None,
        program=_train,
    )


def _train(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.label_training import train_label_network

    train_label_network(worker, artifact, inputs)
