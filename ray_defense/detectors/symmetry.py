"""A symmetry of natural images that a trigger breaks: how its networks are trained and read.

Small networks learn, out of fold, to tell images as they are from the same images after a
symmetry that hardly changes the distribution of natural images. W(x) = g(x) - g(s(x)), with the
log-odds g of a network that did not see x, and the symmetry s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.detectors.step_epochs import num_epochs_of
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.scores.mirror_accuracy import middle_accuracy
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class SymmetryTraining:
    """How the networks are trained: by cross-entropy, without augmentation, on a cosine."""

    model: Any = choice(MODELS, default=SmallResNetCoordinates())
    folds: int = 2
    steps: int = 320
    batch_size: int = 128  # images as they are; as many after the symmetry are added
    sgd: Sgd = Sgd(0.05)
    noise: float = 0.0  # standard deviation of Gaussian noise on all training views, of 255 levels
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("training.folds", self.folds, 2)
        check_at_least("training.steps", self.steps, 1)
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
        return num_epochs_of(self.training.steps)


@dataclass(frozen=True)
class SymmetryDetector:
    """W(x) by networks that did not see x.

    A detector names the symmetry: `tau` makes the view after it, `original` the view before it. The
    evidence's metric `mid50` is the accuracy among the half of the samples with the smallest |W|:
    far above 1/2 the symmetry does not hold for the source, and the signs of W are no fair coins.
    """

    name: ClassVar[str]
    draws: ClassVar[int]
    networks_version: ClassVar[int]  # of the code that trains them

    training: SymmetryTraining = SymmetryTraining()

    @property
    def tau(self) -> tuple[Transform, ...]:
        """The symmetry, without draws."""
        raise NotImplementedError

    @property
    def original(self) -> tuple[Transform, ...]:
        """What makes the other view; nothing for the images as they are."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        networks = SmallNetworks(
            name=self.name,
            version=self.networks_version,
            training=SymmetryNetworks(self.training, self.tau, self.original),
            network=self.training.model,
            num_folds=self.training.folds,
            num_classes=2,
            program=_train,
        )
        return (networks,)

    def read(self, batch: "SampleBatch") -> Columns:
        (networks,) = self.models
        before_BN = batch.outputs(networks, self.original).logits_BN.double()
        after_BN = batch.outputs(networks, self.tau).logits_BN.double()
        g_before_B = before_BN[:, 1] - before_BN[:, 0]
        g_after_B = after_BN[:, 1] - after_BN[:, 0]
        return {self.name: (g_before_B - g_after_B).cpu().numpy()}

    def finish(self, gathered: "Gathered") -> Finished:
        statistic_N = gathered.columns[self.name]
        return Finished({self.name: statistic_N}, {"mid50": middle_accuracy(statistic_N)})


def _train(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.symmetry_training import train_symmetry_network

    train_symmetry_network(worker, artifact, inputs)
