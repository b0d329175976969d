"""The models that detectors need trained: named here, planned as steps by the stage `detect`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ray_defense.detectors.trained_weights import TrainedWeights
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization


@dataclass(frozen=True)
class Probe:
    """The probe of the recipe; detectors that need the same probe share it."""

    intra: bool = True  # whether it is fine-tuned by L_intra, where the recipe says so


@dataclass(frozen=True)
class Backdoored:
    """The backdoored model of the recipe, which D-BR repairs."""


class NetworkSettings(Protocol):
    """A frozen dataclass with all that the training of some networks depends on."""

    @property
    def workers(self) -> WorkerGroup:
        """One process, and its threads."""

    @property
    def num_epochs(self) -> int:
        """Of each network's training, for the progress display."""


@dataclass(frozen=True)
class SmallNetworks:
    """Small networks that a detector trains for itself, side by side, one for each fold.

    Each network learns from the samples outside of its fold and reads those in it. A single fold
    holds all samples: its one network learns from them and reads them.
    """

    name: str  # of the artifacts and of the random streams
    version: int  # of the code that trains them; it changes when the code changes the result
    training: NetworkSettings
    network: Model | None  # None: that of the backdoored model, whose weights they start from
    num_folds: int
    num_classes: int | None  # that the networks tell apart; None: the classes of the dataset
    program: "Callable[[Worker, Artifact, NetworkInputs], None]"


RequiredModel = Probe | Backdoored | SmallNetworks


@dataclass(frozen=True)
class NetworkInputs:
    """What the training of one of some small networks takes."""

    networks: SmallNetworks
    fold: int  # the samples it must not see
    seed: int
    suspect: Artifact
    normalization: Normalization
    evidence: Artifact | None = None  # where the detector learns from the finds of another
    start: TrainedWeights | None = None  # of the backdoored model, where it starts from it
