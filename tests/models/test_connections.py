"""Incoming strengths of features, written as loops."""

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.connections import incoming_strength
from ray_defense.models.resnet18 import ResNet18
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from tests.support.model_inputs import normal_images


def strength_loops(convolution, norm):
    strengths = []
    for channel in range(norm.num_features):
        deviation = (norm.running_var[channel].item() + norm.eps) ** 0.5
        scale = abs(norm.weight[channel].item()) / deviation
        strengths.append(scale * convolution.weight[channel].double().abs().sum().item())
    return strengths


def test_the_strength_of_a_feature_counts_the_last_convolution_and_the_shortcut():
    model = build_model(SmallResNet(), 10, seed=1)
    model.train()(normal_images(4))  # moves the BatchNorm statistics
    block = model.extractor[5]
    with torch.no_grad():
        block.bn2.weight[3] = -2.0
    direct = strength_loops(block.conv2, block.bn2)
    shortcut = strength_loops(block.downsample[0], block.downsample[1])
    expected = [a + b for a, b in zip(direct, shortcut, strict=True)]
    assert incoming_strength(model).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_block_without_shortcut_counts_its_last_convolution_alone():
    model = build_model(ResNet18(), 10, seed=1)
    block = model.extractor.layer4[1]
    assert block.downsample is None
    expected = strength_loops(block.conv2, block.bn2)
    assert incoming_strength(model).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_network_without_basic_blocks_is_refused():
    model = FeatureClassifier(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    with pytest.raises(InputError, match="Flatten has no basic block"):
        incoming_strength(model)
