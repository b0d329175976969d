"""The surrogate as attacks see it: a function of images in [0, 1], without gradients of weights."""

import torch

from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.attacker.surrogate import surrogate_asset
from ray_defense.training.settings import SupervisedConfig
from tests.support.steps import plan_context, publish_step
from tests.support.transform_inputs import random_images

MODEL = SmallResNet(width=8)


def test_a_surrogate_sees_images_normalized_and_passes_gradients_to_them_alone(tmp_path):
    network = build_model(MODEL, 10, 1).eval()
    context = plan_context(tmp_path)

    def fill(directory):
        save_weights(directory / WEIGHTS, network)

    artifact = publish_step(context, "surrogate", fill).artifact
    classify = surrogate_asset(artifact, SupervisedConfig(MODEL), 10, context).load()
    images = random_images(0, 4, 16, width=16).requires_grad_()
    logits = classify(images)
    with torch.no_grad():
        _, expected = network((images - 0.5) / 0.5)
    assert torch.allclose(logits, expected.to(logits.device), atol=1e-5)
    logits.sum().backward()
    assert images.grad.abs().sum() > 0
