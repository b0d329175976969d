"""What the configuration of a network provides."""

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from ray_defense.models.classifier import FeatureClassifier


class Model(Protocol):
    """A frozen dataclass whose fields are the parameters of a network.

    Its module imports torch inside `build` alone, so that a configuration costs no such import.
    """

    name: ClassVar[str]

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator."""
