"""Laws of every registered network."""

import pytest
import torch

from ray_defense.models import MODELS
from ray_defense.models.seeded import build_model
from tests.support.import_cost import heavy_imports_of_units
from tests.support.model_inputs import normal_images

# For ten classes, by hand from the shapes of the layers.
NUM_WEIGHTS = {
    "small_resnet": 78_042,
    "small_resnet_coordinates": 78_330,  # two more channels of 9 weights for each of 16
    "small_resnet_deep_stem": 82_714,  # two more convolutions of 16 to 16 channels in the stem
    "resnet18": 11_173_962,
    "resnet18_no_pool": 11_173_962,
    "resnet18_imagenet": 11_181_642,
    "torchvision": 11_181_642,  # its default is ResNet-18
}

# Pixels a side of the last block's output, for an image of 32.
LAST_SIDES = {
    "small_resnet": 4,
    "small_resnet_coordinates": 4,
    "small_resnet_deep_stem": 1,
    "resnet18": 2,
    "resnet18_no_pool": 4,
    "resnet18_imagenet": 1,
    "torchvision": 1,
}


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return build_model(MODELS[name](), 10, seed=1)


def test_a_configuration_imports_no_heavy_package():
    assert heavy_imports_of_units("ray_defense.models", "MODELS") == []


def test_a_model_gives_features_and_the_classifiers_logits_of_them(name, model):
    with torch.no_grad():
        features, logits = model.eval()(normal_images(3))
        expected = model.classifier(features)
    assert MODELS[name].name == name
    assert features.shape == (3, model.feature_dim)
    assert logits.shape == (3, 10)
    assert torch.equal(expected, logits)
    assert isinstance(model.classifier, torch.nn.Linear)
    assert (features >= 0).all()


def test_a_model_has_the_papers_number_of_weights(name, model):
    assert sum(weight.numel() for weight in model.parameters()) == NUM_WEIGHTS[name]


def test_features_in_eval_mode_depend_on_their_own_sample_alone(model):
    model.eval()
    images = normal_images(4)
    with torch.no_grad():
        together = model(images)[0]
        alone = torch.cat([model(images[b : b + 1])[0] for b in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_weight_of_a_model_gets_a_gradient(model):
    model.zero_grad()
    _, logits = model.train()(normal_images(2))
    logits.square().mean().backward()
    for weight in model.parameters():
        assert weight.grad is not None
        assert weight.grad.isfinite().all()


def test_the_stems_shrink_a_32_pixel_image_as_the_paper_says(name, model):
    sides = []
    blocks = [layer for layer in model.modules() if type(layer).__name__ == "BasicBlock"]
    hook = blocks[-1].register_forward_hook(
        lambda layer, inputs, output: sides.append(output.shape[-1])
    )
    with torch.no_grad():
        model.eval()(normal_images(1))
    hook.remove()
    assert sides == [LAST_SIDES[name]]
