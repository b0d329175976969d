"""The probe: a model trained for a few epochs only to score samples (Algorithm 2, steps 1-5)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice, departure
from ray_defense.core.errors import InputError
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.resnet18 import ResNet18
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import Sgd

EPOCHS_FOLDER = "epochs"  # of a probe that keeps its epochs


@dataclass(frozen=True)
class ProbeConfig:
    """The probe and its training.

    No augmentation is used. The centers of Eq. (8) are over the batch of all workers (D4). The
    authors run the network twice on a batch of L_intra, so that BatchNorm moves twice:
    `intra_passes=2`.
    """

    model: Any = choice(MODELS, default=ResNet18())
    epochs: int = 2  # e_t, of cross-entropy
    intra_epochs: int = 10  # e_f, of L_intra
    intra_passes: int = departure(1)  # over each batch of L_intra; the last has a gradient (D4)
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(0.01)
    min_train_accuracy: float = 0.4  # on the labels; below it a note says that scores mean little
    keep_epochs: bool = False  # also keep the model after each phase's epochs, for score traces
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        check_at_least("probe.epochs", self.epochs, 1)
        check_at_least("probe.intra_epochs", self.intra_epochs, 0)
        check_at_least("probe.intra_passes", self.intra_passes, 1)
        check_at_least("probe.batch_size", self.batch_size, 2)
        check_in_range("probe.min_train_accuracy", self.min_train_accuracy, 0, 1)

    @property
    def num_epochs(self) -> int:
        """Epochs of both phases."""
        return self.epochs + self.intra_epochs


@dataclass(frozen=True)
class ProbeInputs:
    """What the training of the probe takes."""

    config: ProbeConfig
    seed: int
    suspect: Artifact
    normalization: Normalization
    start: Path | None = None  # the weights that it starts from; None: random ones


def kept_epochs(probe: Artifact) -> dict[int, Path]:
    """Returns the weights of a finished probe by the number of epochs of L_intra, from 0.

    Raises:
        InputError: If the probe kept none.
    """
    files = {}
    for path in sorted((probe.path / EPOCHS_FOLDER).glob("*.safetensors")):
        files[int(path.stem)] = path
    if not files:
        raise InputError(
            f"the probe {probe.path} kept no epochs: train it with --set probe.keep_epochs=true"
        )
    return files
