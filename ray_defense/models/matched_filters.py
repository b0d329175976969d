"""One linear filter a class over the local contrast of an image.

A matched filter is the best linear test for a known pattern in noise (North, 1943).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ray_defense.models.classifier import FeatureClassifier


@dataclass(frozen=True)
class MatchedFilters:
    """Its features are local contrasts; its weights take the size of the images they come from."""

    name: ClassVar[str] = "matched_filters"

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, whose weights have no size until they are loaded."""
        from torch import nn

        from ray_defense.models.classifier import FeatureClassifier
        from ray_defense.models.local_contrast import LocalContrast

        return FeatureClassifier(LocalContrast(), nn.LazyLinear(num_classes))
