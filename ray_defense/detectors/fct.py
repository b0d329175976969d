"""FCT, the paper's detector: how far features move under random transforms, Eq. (1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.detectors.protocol import Columns
from ray_defense.detectors.required_models import Probe
from ray_defense.scores.feature_consistency import parse_reduction, reduce_draws
from ray_defense.transforms import TRANSFORMS
from ray_defense.transforms.affine import Affine
from ray_defense.transforms.protocol import Transform
from ray_defense.transforms.rotate import Rotate

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class Fct:
    """Feature consistency towards transformations; the paper draws tau once a sample (D2)."""

    name: ClassVar[str] = "fct"

    tau: tuple[Transform, ...] = choice(TRANSFORMS, default=(Rotate(), Affine()))
    draws: int = 1  # K, of tau
    reduce: str | float = "mean"  # over the draws: "mean", or a quantile in [0, 1], 0 the minimum

    def __post_init__(self) -> None:
        if not self.tau:
            raise InputError(f"tau is empty: name one or more of {', '.join(TRANSFORMS)}")
        check_at_least("draws", self.draws, 1)
        # "0.1" from a command line is 0.1.
        object.__setattr__(self, "reduce", parse_reduction(self.reduce))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[Probe, ...]:
        return (Probe(),)

    def read(self, batch: "SampleBatch") -> Columns:
        distances_KB = batch.distances(Probe(), self.tau, self.draws)
        return {self.name: self.score(distances_KB)}

    def score(self, distances_KB: np.ndarray) -> np.ndarray:
        """Returns the scores of a batch.

        Args:
            distances_KB: Squared distances between the features of a sample and the features of
                its transformed views, float64 [draws, B].

        Returns:
            float64 [B].

        Raises:
            InputError: For another number of draws.
        """
        if len(distances_KB) != self.draws:
            raise InputError(f"fct takes {self.draws} draws a sample, not {len(distances_KB)}")
        return reduce_draws(distances_KB, self.reduce)
