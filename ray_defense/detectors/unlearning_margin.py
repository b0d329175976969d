"""The margin after clean unlearning (the idea of RNP, ICML 2023) as a detector.

The backdoored model unlearns samples that another detector trusts most; it forgets classes and
keeps the trigger.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.detectors.protocol import Columns
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.scores.unlearning_margin import unlearning_margin
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch

NETWORKS_VERSION = 1


@dataclass(frozen=True)
class UnlearningMargin:
    """The label's logit less the best other one, once clean samples are unlearned."""

    name: ClassVar[str] = "unlearning_margin"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0
    rounds: ClassVar[int] = 1

    follows: str = "fct"  # whose lowest scores are unlearned, as many of every label
    num_unlearned: int = 500
    max_accuracy: float = 0.20  # on the unlearned samples; the training stops there
    max_epochs: int = 20
    batch_size: int = 128
    sgd: Sgd = Sgd(0.01)
    max_gradient_norm: float = 20.0
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("num_unlearned", self.num_unlearned, 1)
        check_in_range("max_accuracy", self.max_accuracy, 0, 1)
        check_at_least("max_epochs", self.max_epochs, 1)
        check_at_least("batch_size", self.batch_size, 2)
        check_at_least("max_gradient_norm", self.max_gradient_norm, 0)

    @property
    def num_epochs(self) -> int:
        return self.max_epochs

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        return self.in_round(1).models

    def read(self, batch: "SampleBatch") -> Columns:
        return self.in_round(1).read(batch)

    def in_round(self, number: int) -> "UnlearningRound":
        return UnlearningRound(self)


@dataclass(frozen=True)
class UnlearningRound:
    """The only round: the model that unlearned the followed detector's lowest scores."""

    name: ClassVar[str] = UnlearningMargin.name
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    margin: UnlearningMargin

    @property
    def columns(self) -> tuple[str, ...]:
        return self.margin.columns

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        networks = SmallNetworks(
            name=self.name,
            version=NETWORKS_VERSION,
            training=self.margin,
            network=None,
            num_folds=1,
            num_classes=None,
            program=_train,
        )
        return (networks,)

    def read(self, batch: "SampleBatch") -> Columns:
        (network,) = self.models
        labels_B = batch.labels_B.cpu().numpy()
        return {self.name: unlearning_margin(batch.logits(network), labels_B)}


def _train(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.clean_unlearning import unlearn_clean_samples

    unlearn_clean_samples(worker, artifact, inputs)
