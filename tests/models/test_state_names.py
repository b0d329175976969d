"""Tensors under the names of the user's own network, and networks by name."""

import pytest
import torch
import torchvision

from ray_defense.core.errors import InputError
from ray_defense.models.named_network import named_network
from ray_defense.models.resnet18 import ResNet18ImageNet
from ray_defense.models.seeded import build_model
from ray_defense.models.state_names import foreign_names, renamed
from ray_defense.models.torchvision_network import TorchvisionNetwork

# One of each kind of head; the larger ones of a kind are named alike.
NETWORKS = ("resnet18", "mobilenet_v3_small", "densenet121", "shufflenet_v2_x0_5")


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_network_of_torchvision_is_taken_apart_and_named_as_it_was(architecture: str) -> None:
    model = build_model(TorchvisionNetwork(architecture), 5, seed=0).eval()
    network = torchvision.models.get_model(architecture, num_classes=5).eval()
    network.load_state_dict(renamed(model.state_dict(), foreign_names(model)))
    images = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.no_grad():
        features, logits = model(images)
        torch.testing.assert_close(network(images), logits)
    assert features.shape == (1, model.feature_dim)


def test_a_network_of_torchvision_draws_nothing_while_it_is_trained() -> None:
    model = build_model(TorchvisionNetwork("mobilenet_v3_small"), 5, seed=0).train()
    images = torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images)[1], model(images)[1])


def test_networks_are_named_as_registered_or_with_the_word_torchvision() -> None:
    assert named_network("torchvision:resnet50") == TorchvisionNetwork("resnet50")
    assert named_network("resnet18_imagenet") == ResNet18ImageNet()
    for name, message in (
        ("resnet50", "torchvision:NAME"),
        ("torchvision:resnet81", "did you mean"),
        ("torchvision:inception_v3", "is more than features"),
        ("torchvision:mnasnet1_0", "is more than features"),
    ):
        with pytest.raises(InputError, match=message):
            named_network(name)
