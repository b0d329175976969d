"""Projections onto the unit sphere."""

import torch

from ray_defense.models.projection_head import ProjectionHead
from ray_defense.models.seeded import build_seeded
from tests.support.model_inputs import have_equal_weights


def test_projections_have_unit_length_in_float32_under_autocast_too():
    head = build_seeded(lambda: ProjectionHead(64), seed=4)
    features = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        z = head(features)
    assert z.shape == (5, 128)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))


def test_equal_seeds_give_equal_projection_heads():
    head = build_seeded(lambda: ProjectionHead(64), seed=4)
    again = build_seeded(lambda: ProjectionHead(64), seed=4)
    assert have_equal_weights(head, again)
