"""What a detector provides: how one number a sample comes out of what the probe sees of it."""

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np

    from ray_defense.transforms.protocol import Transform


class Detector(Protocol):
    """A frozen dataclass whose fields are the parameters of a score; larger is more suspicious.

    The scores of all samples are a column of `evidence.parquet`, named by the detector.
    """

    name: ClassVar[str]

    @property
    def tau(self) -> "tuple[Transform, ...]":
        """The random transforms that make one transformed view of an image."""

    @property
    def draws(self) -> int:
        """How many transformed views of each image the score needs."""

    def score(self, distances_KB: "np.ndarray") -> "np.ndarray":
        """Returns the scores of a batch.

        Args:
            distances_KB: Squared distances between the features of a sample and the features of
                its transformed views, float64 [draws, B].

        Returns:
            float64 [B].
        """
