"""What SS-CTL trains: a model's features behind a projection head."""

import torch

from ray_defense.models.projected_features import ProjectedFeatures
from ray_defense.models.projection_head import ProjectionHead
from ray_defense.models.seeded import build_model, build_seeded
from ray_defense.models.small_resnet import SmallResNet
from tests.support.model_inputs import have_equal_weights, normal_images


def test_projected_features_are_the_models_features_through_the_head():
    model = build_model(SmallResNet(), 10, seed=1)
    projected = build_seeded(lambda: ProjectedFeatures(model, 32), seed=2).eval()
    with torch.no_grad():
        z = projected(normal_images(3))
        features, _ = model(normal_images(3))
        expected = projected.head(features)
    assert z.shape == (3, 32)
    assert torch.equal(z, expected)


def test_the_head_is_drawn_as_it_would_be_alone_and_the_model_is_kept():
    model = build_model(SmallResNet(), 10, seed=1)
    projected = build_seeded(lambda: ProjectedFeatures(model, 32), seed=2)
    alone = build_seeded(lambda: ProjectionHead(model.feature_dim, 32), seed=2)
    assert have_equal_weights(projected.head, alone)
    assert projected.model is model


def test_weights_are_named_after_model_and_head():
    model = build_model(SmallResNet(), 10, seed=1)
    names = list(ProjectedFeatures(model, 32).state_dict())
    expected = [f"model.{name}" for name in model.state_dict()]
    expected += ["head.hidden.weight", "head.hidden.bias", "head.output.weight", "head.output.bias"]
    assert names == expected
