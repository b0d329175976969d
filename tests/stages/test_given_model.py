"""A model of the user is compared with its network by names and shapes before it is taken."""

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.resnet18 import ResNet18ImageNet
from ray_defense.models.seeded import build_model
from ray_defense.stages.given_model import matched_tensors, reordered

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def model() -> FeatureClassifier:
    return build_model(ResNet18ImageNet(), 3, seed=0)


@pytest.fixture
def theirs(model: FeatureClassifier) -> dict[str, torch.Tensor]:
    """The weights of the model as torchvision's ResNet-18 names them."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        short = name.removeprefix("extractor.").replace("classifier.", "fc.")
        tensors[short] = tensor
    return tensors


def matched(tensors: dict[str, torch.Tensor], model: FeatureClassifier) -> dict[str, torch.Tensor]:
    return matched_tensors(tensors, model, "m.pt", class_names=CLASSES)


def test_weights_are_taken_under_our_names_and_under_those_of_the_user(
    model: FeatureClassifier, theirs: dict[str, torch.Tensor]
) -> None:
    for tensors in (theirs, dict(model.state_dict())):
        taken = matched(tensors, model)
        assert taken.keys() == model.state_dict().keys()
        for name, tensor in model.state_dict().items():
            assert torch.equal(taken[name], tensor)


def test_weights_of_half_precision_become_those_of_the_network(
    model: FeatureClassifier, theirs: dict[str, torch.Tensor]
) -> None:
    theirs["fc.weight"] = theirs["fc.weight"].half()
    assert matched(theirs, model)["classifier.weight"].dtype == torch.float32


def test_every_kind_of_difference_is_named(
    model: FeatureClassifier, theirs: dict[str, torch.Tensor]
) -> None:
    theirs["fc.1.weight"] = theirs.pop("fc.weight")
    with pytest.raises(
        InputError, match=r"'fc.weight' is not in the file \(the nearest there is 'fc"
    ):
        matched(theirs, model)
    del theirs["fc.1.weight"]
    theirs["fc.weight"] = torch.zeros(3, 512)
    theirs["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    message = r"'conv1.weight' is \[64, 3, 3, 3\] in the file and \[64, 3, 7, 7\] in the network"
    with pytest.raises(InputError, match=message):
        matched(theirs, model)
    with pytest.raises(InputError, match="and 120 more; name the network"):
        matched({"a": torch.zeros(1)}, model)


def test_another_number_of_classes_is_refused_with_those_of_the_data(
    model: FeatureClassifier, theirs: dict[str, torch.Tensor]
) -> None:
    theirs["fc.weight"] = torch.zeros(1000, 512)
    with pytest.raises(InputError, match=r"has 1000 classes and .* has 3 \(cat, dog, owl\)"):
        matched(theirs, model)


def test_weights_that_are_not_finite_are_refused(
    model: FeatureClassifier, theirs: dict[str, torch.Tensor]
) -> None:
    theirs["fc.bias"] = torch.tensor([0.0, torch.nan, 0.0])
    with pytest.raises(InputError, match="'fc.bias' holds numbers that are not finite"):
        matched(theirs, model)


def test_classes_are_put_in_order_and_back() -> None:
    order = (2, 0, 3, 1)
    rows = torch.arange(4.0)
    tensors = {"classifier.weight": rows[:, None].repeat(1, 2), "extractor.a": rows}
    changed = reordered(tensors, order)
    assert [changed["classifier.weight"][label, 0].item() for label in order] == [0, 1, 2, 3]
    assert torch.equal(changed["extractor.a"], rows)
    back = reordered(changed, tuple(np.argsort(order).tolist()))
    assert torch.equal(back["classifier.weight"], tensors["classifier.weight"])
