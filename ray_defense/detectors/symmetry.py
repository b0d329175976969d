"""A symmetry of natural images that a trigger breaks: how its networks are trained and read.

Small networks learn, out of fold, to tell images as they are from the same images after a
symmetry that hardly changes the distribution of natural images. W(x) = g(x) - g(s(x)), with the
log-odds g of a network that did not see x, and the symmetry s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class SymmetryTraining:
    """How the networks are trained: by cross-entropy, without augmentation, on a cosine."""

    model: Any = choice(MODELS, default=SmallResNetCoordinates())
    folds: int = 2
    epochs: int = 4
    batch_size: int = 128  # images as they are; as many after the symmetry are added
    sgd: Sgd = Sgd(0.05)
    noise: float = 0.0  # standard deviation of Gaussian noise on all training views, of 255 levels
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("training.folds", self.folds, 2)
        check_at_least("training.epochs", self.epochs, 1)
        check_at_least("training.batch_size", self.batch_size, 1)
        check_in_range("training.noise", self.noise, 0, 255)


@dataclass(frozen=True)
class SymmetryNetworks:
    """What identifies the networks of one symmetry."""

    training: SymmetryTraining
    symmetry: tuple[Transform, ...]
    original: tuple[Transform, ...] = ()  # what makes the view before the symmetry; none: as it is

    @property
    def workers(self) -> WorkerGroup:
        return self.training.workers

    @property
    def num_epochs(self) -> int:
        return self.training.epochs


def symmetry_networks(
    name: str,
    version: int,
    training: SymmetryTraining,
    *,
    symmetry: tuple[Transform, ...],
    original: tuple[Transform, ...] = (),
) -> SmallNetworks:
    """Returns the networks that tell images from what a symmetry makes of them.

    Args:
        name: Of the detector.
        version: Of the code that trains them.
        training: How they are trained.
        symmetry: The transforms that are the symmetry, without draws.
        original: The transforms that make the other view; none for the images as they are.
    """
    return SmallNetworks(
        name=name,
        version=version,
        training=SymmetryNetworks(training, symmetry, original),
        network=training.model,
        num_folds=training.folds,
        num_classes=2,
        program=_train,
    )


def antisymmetric_statistic(
    batch: "SampleBatch",
    networks: SmallNetworks,
    *,
    symmetry: tuple[Transform, ...],
    original: tuple[Transform, ...] = (),
) -> np.ndarray:
    """Returns W of each sample of a batch, float64 [B]."""
    as_it_is_BN = batch.outputs(networks, original).logits_BN.double()
    moved_BN = batch.outputs(networks, symmetry).logits_BN.double()
    g_B = as_it_is_BN[:, 1] - as_it_is_BN[:, 0]
    g_of_moved_B = moved_BN[:, 1] - moved_BN[:, 0]
    statistic_B: np.ndarray = (g_B - g_of_moved_B).cpu().numpy()
    return statistic_B


def _train(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.symmetry_training import train_symmetry_network

    train_symmetry_network(worker, artifact, inputs)
