"""A classification network of torchvision whose last layer is linear, by its name there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ray_defense.core.errors import InputError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from ray_defense.models.classifier import FeatureClassifier

# Inception and GoogLeNet have more heads, SqueezeNet classifies by a convolution, and what MNASNet
# is depends on a version that its tensors do not hold.
_NOT_TAKEN = ("googlenet", "inception", "mnasnet", "squeezenet")


@dataclass(frozen=True)
class TorchvisionNetwork:
    """A network of `torchvision.models` with random weights.

    It is built without dropout and without stochastic depth, so that training it depends on the
    seed of the run alone. Neither has weights.
    """

    name: ClassVar[str] = "torchvision"

    architecture: str = "resnet18"  # as `torchvision.models.list_models()` has it

    def build(self, num_classes: int) -> "FeatureClassifier":
        """Returns the network, initialized from torch's global generator.

        Raises:
            InputError: As `check_name` does.
        """
        from torch import nn
        from torchvision import models

        from ray_defense.models.classifier import FeatureClassifier

        self.check_name()
        network: nn.Module = models.get_model(
            self.architecture, weights=None, num_classes=num_classes
        )
        _remove_random_layers(network)
        path, head = list(network.named_modules())[-1]
        assert isinstance(head, nn.Linear)
        parent, _, leaf = path.rpartition(".")
        setattr(network.get_submodule(parent), leaf, nn.Identity())
        classifier = FeatureClassifier(network, head)
        classifier.head_name = path
        return classifier

    def check_name(self) -> None:
        """Raises InputError for a name that torchvision does not have, or that is not supported."""
        from torchvision import models

        names = models.list_models(models)
        known = [name for name in names if not name.startswith(_NOT_TAKEN)]
        if self.architecture in names and self.architecture not in known:
            raise InputError(
                f"{self.architecture} is more than features and one linear layer: choose another "
                "network of torchvision, such as resnet18"
            )
        if self.architecture not in known:
            raise unknown_name("network of torchvision", self.architecture, known)


def _remove_random_layers(network: "nn.Module") -> None:
    from torch import nn
    from torchvision.ops import StochasticDepth

    for layer in network.modules():
        if isinstance(layer, nn.Dropout | StochasticDepth):
            random_layer: Any = layer
            random_layer.p = 0.0
