"""FCT, the feature consistency towards transformations, Eq. (1), over one or many draws of the transform.

Shapes: B samples, D features, K draws.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused


def feature_consistency(features_BD: Tensor, transformed_BD: Tensor) -> Tensor:
    """Returns float64 [B], the squared distance of each sample's features from those of its transformed self.

    Larger is more suspicious. A squared norm, not a mean over D (D1). A row's result depends on that row alone.
    Raises Refused when the shapes differ. Source: Eq. (1).
    """
    if features_BD.ndim != 2 or features_BD.shape != transformed_BD.shape:
        raise Refused(f"features must be two [B, D], not {list(features_BD.shape)} and {list(transformed_BD.shape)}")
    return (features_BD.detach().double() - transformed_BD.detach().double()).square().sum(dim=1)


def reduce_draws(distances_KB: np.ndarray, how: str | float) -> np.ndarray:
    """Returns float64 [B], the mean (`how="mean"`, D2) or a quantile in [0, 1] (0: the minimum) over K >= 1 draws.

    A clean image moves far under an unlucky rotation but not under every one: a low quantile tells it from a triggered
    one. Raises Refused for another `how` or shape.
    """
    how = _reduction(how)
    distances_KB = np.asarray(distances_KB, dtype=np.float64)
    if distances_KB.ndim != 2 or not len(distances_KB):
        raise Refused(f"distances must be [K, B] with K >= 1 draws, not {list(distances_KB.shape)}")
    if how == "mean":
        return sum(distances_KB) / len(distances_KB)  # row by row: np.mean's order of addition depends on B
    return np.quantile(distances_KB, how, axis=0)


def _reduction(how: str | float) -> str | float:
    if how == "mean":
        return how
    try:
        quantile = float(how)
    except ValueError:
        raise Refused(f"reduce must be 'mean' or a quantile in [0, 1], not {how!r}") from None
    in_range("reduce, as a quantile,", quantile, 0, 1)
    return quantile


@dataclass(frozen=True)
class FeatureConsistency:
    """The paper's score, FCT; larger is more suspicious."""

    name: ClassVar[str] = "fct"
    draws: int = 1  # K, of the transform tau, a sample; the paper: 1
    reduce: str | float = "mean"  # over the draws: "mean" (D2) or a quantile in [0, 1], 0 the minimum

    def __post_init__(self) -> None:
        at_least("draws", self.draws, 1)
        object.__setattr__(self, "reduce", _reduction(self.reduce))  # "0.1" from a command line is 0.1

    def score(self, distances_KB: np.ndarray) -> np.ndarray:
        """Returns the scores, float64 [B], of samples whose `draws` distances `feature_consistency` gave."""
        if len(distances_KB) != self.draws:
            raise Refused(f"the score takes {self.draws} draws a sample, not {len(distances_KB)}")
        return reduce_draws(distances_KB, self.reduce)
