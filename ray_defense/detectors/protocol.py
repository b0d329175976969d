"""What a detector provides: the models it needs, and the columns it reads off each sample."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.required_models import RequiredModel
    from ray_defense.detectors.sample_batch import SampleBatch
    from ray_defense.transforms.protocol import Transform

Columns = dict[str, "np.ndarray"]  # by name, one row a sample


class Detector(Protocol):
    """A frozen dataclass whose fields are the parameters of a score; larger is more suspicious.

    All detectors of a recipe read the images in one pass. Their columns, over all samples, are the
    evidence (`evidence.parquet`).
    """

    name: ClassVar[str]

    @property
    def tau(self) -> "tuple[Transform, ...]":
        """The transforms that make one view of an image; none where it reads images as they are."""

    @property
    def draws(self) -> int:
        """How many such views of each image it reads, beside the image itself."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the evidence that it writes.

        The first is its score, and is called by its name; the others begin with its name and an
        underscore.
        """

    @property
    def models(self) -> "tuple[RequiredModel, ...]":
        """The models that must be trained before it reads a batch."""

    def read(self, batch: "SampleBatch") -> Columns:
        """Returns what it reads off the samples of a batch.

        What it reads off a sample must not depend on the other samples of the batch.

        Args:
            batch: Images, labels, indices, and what models make of views of them.

        Returns:
            `columns`, each float64 [B]. A detector that finishes may return other columns, whose
            names begin in the same way, [B] or [B, D].
        """


@dataclass(frozen=True)
class Finished:
    """What a detector makes of all samples together."""

    columns: Columns  # float64 [N]
    metrics: dict[str, float] = field(default_factory=dict)  # of the dataset as a whole


@runtime_checkable
class FinishesColumns(Protocol):
    """A detector whose columns need all samples at once, or that measures the whole of them."""

    def finish(self, gathered: "Gathered") -> Finished:
        """Returns its columns, in the order of the samples of `gathered`, and its metrics."""


@runtime_checkable
class FollowsDetector(Protocol):
    """A detector that learns from the finds of another; it reads the images in a pass of its own.

    Each round has its own networks, which learn from the evidence of the round before.
    """

    @property
    def follows(self) -> str:
        """The name of the detector whose finds the first round learns from."""

    @property
    def rounds(self) -> int:
        """How many rounds there are, at least 1."""

    def in_round(self, number: int) -> Detector:
        """Returns the detector of round `number`, from 1, with the models of that round."""


@runtime_checkable
class LearnsSeeds(Protocol):
    """A detector whose networks learn to tell finds from the rest, and give log-odds."""

    @property
    def seed_share(self) -> float:
        """The share of finds among what its networks learn from, in (0, 1)."""
