"""Initial weights as a function of a seed."""

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from tests.support.model_inputs import have_equal_weights


def test_equal_seeds_give_equal_weights_and_others_do_not():
    first = build_model(SmallResNet(), 10, seed=2**64 - 1)
    again = build_model(SmallResNet(), 10, seed=2**64 - 1)
    other = build_model(SmallResNet(), 10, seed=7)
    assert have_equal_weights(first, again)
    assert not have_equal_weights(first, other)


def test_building_leaves_torchs_global_generator_alone_and_does_not_depend_on_it():
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    first = build_model(SmallResNet(), 10, seed=3)
    assert torch.equal(torch.rand(4), expected)
    assert have_equal_weights(first, build_model(SmallResNet(), 10, seed=3))


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(InputError, match="num_classes"):
        build_model(SmallResNet(), 1, seed=0)
