"""The small ResNet with a deep stem: what of it is the small ResNet, and what it costs."""

import torch

from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.models.small_resnet_deep_stem import SmallResNetDeepStem
from tests.support.model_inputs import normal_images


def test_with_one_halving_it_is_the_small_resnet_with_or_without_coordinates() -> None:
    images = normal_images(2)
    for coordinates, same in ((False, SmallResNet()), (True, SmallResNetCoordinates())):
        deep = SmallResNetDeepStem(num_halvings=1, coordinates=coordinates)
        model = build_model(deep, 10, seed=3).eval()
        expected = build_model(same, 10, seed=3).eval()
        with torch.no_grad():
            assert torch.equal(model(images)[1], expected(images)[1])


def test_each_halving_makes_the_blocks_half_as_large() -> None:
    images = torch.zeros(1, 3, 128, 128)
    sides = []
    for num_halvings in (1, 2, 3):
        model = build_model(SmallResNetDeepStem(num_halvings=num_halvings), 10, seed=0).eval()
        blocks = [layer for layer in model.modules() if type(layer).__name__ == "BasicBlock"]
        hook = blocks[0].register_forward_hook(
            lambda layer, inputs, output: sides.append(output.shape[-1])
        )
        with torch.no_grad():
            model(images)
        hook.remove()
    assert sides == [64, 32, 16]
