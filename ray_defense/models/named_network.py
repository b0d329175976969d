"""The network that a user names: one that is registered, or `torchvision:NAME`."""

from ray_defense.core.errors import look_up
from ray_defense.models import MODELS
from ray_defense.models.protocol import Model
from ray_defense.models.torchvision_network import TorchvisionNetwork

_PREFIX = "torchvision:"


def named_network(text: str) -> Model:
    """Returns the configuration of a network.

    Raises:
        InputError: For a name that nobody knows; the message suggests the nearest one.
    """
    if text.startswith(_PREFIX):
        network = TorchvisionNetwork(text.removeprefix(_PREFIX))
        network.check_name()
        return network
    return look_up(MODELS, f"network ({_PREFIX}NAME for one of torchvision)", text)()
